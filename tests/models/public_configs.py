"""The keys of config.json as public models have them, with tiny sizes: what must load without a word.

Each is written as its publisher (or a much-used copy) has it, with every key that the family's class does not know.
"""

from typing import Any

_TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
_SIZES = {**_TINY, "vocab_size": 120, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
_LLAMA3 = {
    "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 16,
    "rope_type": "llama3",
}  # fmt: skip
_BY_DIM = [1.0 + 0.1 * i for i in range(8)]

PUBLIC: dict[str, dict[str, Any]] = {
    "llama-2": {
        **_SIZES, "_name_or_path": "meta-llama/Llama-2-7b-hf", "architectures": ["LlamaForCausalLM"],
        "hidden_act": "silu", "initializer_range": 0.02, "max_sequence_length": 64, "model_type": "llama",
        "num_key_value_heads": 2, "pad_token_id": 0, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": None,
        "tie_word_embeddings": False, "torch_dtype": "float16", "transformers_version": "4.31.0.dev0",
        "use_cache": True,
    },
    "llama-3.2, an unsloth copy": {
        **_SIZES, "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "eos_token_id": [2, 3], "head_dim": 16, "hidden_act": "silu", "initializer_range": 0.02, "mlp_bias": False,
        "model_type": "llama", "num_key_value_heads": 1, "pad_token_id": 4, "pretraining_tp": 1,
        "rms_norm_eps": 1e-05, "rope_scaling": _LLAMA3, "rope_theta": 500000.0, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "transformers_version": "4.52.0.dev0", "unsloth_fixed": True,
        "unsloth_version": "2026.3.3", "use_cache": True,
    },
    "smollm2": {
        **_SIZES, "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "hidden_act": "silu", "initializer_range": 0.041666666666666664, "is_llama_config": True,
        "model_type": "llama", "num_key_value_heads": 1, "pad_token_id": 2, "pretraining_tp": 1,
        "rms_norm_eps": 1e-05, "rope_interleaved": False, "rope_scaling": None, "rope_theta": 100000,
        "tie_word_embeddings": True, "torch_dtype": "bfloat16", "transformers_version": "4.42.3", "use_cache": True,
        "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"}},
    },
    "mistral-v0.1": {
        **_SIZES, "architectures": ["MistralForCausalLM"], "hidden_act": "silu", "initializer_range": 0.02,
        "model_type": "mistral", "num_key_value_heads": 1, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "sliding_window": 4, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
        "transformers_version": "4.34.0.dev0", "use_cache": True,
    },
    "qwen2.5": {
        **_SIZES, "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "hidden_act": "silu",
        "initializer_range": 0.02, "max_window_layers": 2, "model_type": "qwen2", "num_key_value_heads": 1,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "transformers_version": "4.43.1", "use_cache": True, "use_mrope": False,
        "use_sliding_window": False,
    },
    "qwen3": {
        **_SIZES, "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "head_dim": 16, "hidden_act": "silu", "initializer_range": 0.02, "max_window_layers": 2,
        "model_type": "qwen3", "num_key_value_heads": 1, "rms_norm_eps": 1e-06, "rope_scaling": None,
        "rope_theta": 1000000, "sliding_window": None, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "transformers_version": "4.51.0", "use_cache": True, "use_sliding_window": False,
    },
    "gemma-2b": {
        **_SIZES, "architectures": ["GemmaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "head_dim": 16, "hidden_act": "gelu", "hidden_activation": None, "initializer_range": 0.02,
        "model_type": "gemma", "num_key_value_heads": 1, "pad_token_id": 0, "rms_norm_eps": 1e-06,
        "rope_scaling": None, "rope_theta": 10000.0, "torch_dtype": "bfloat16",
        "transformers_version": "4.38.0.dev0", "use_cache": True,
    },
    "gemma-2-2b": {
        **_SIZES, "architectures": ["Gemma2ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "attn_logit_softcapping": 50.0, "cache_implementation": "hybrid", "final_logit_softcapping": 30.0,
        "head_dim": 16, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
        "initializer_range": 0.02, "model_type": "gemma2", "num_key_value_heads": 1, "pad_token_id": 0,
        "query_pre_attn_scalar": 16, "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "sliding_window": 8,
        "torch_dtype": "float32", "transformers_version": "4.42.4", "use_cache": True,
    },
    "gemma-3-270m": {
        **_SIZES, "_sliding_window_pattern": 2, "architectures": ["Gemma3ForCausalLM"], "attention_bias": False,
        "attention_dropout": 0.0, "attn_logit_softcapping": None, "final_logit_softcapping": None, "head_dim": 16,
        "hidden_activation": "gelu_pytorch_tanh", "initializer_range": 0.02,
        "layer_types": ["sliding_attention", "full_attention"], "model_type": "gemma3_text",
        "num_key_value_heads": 1, "pad_token_id": 0, "query_pre_attn_scalar": 16, "rms_norm_eps": 1e-06,
        "rope_local_base_freq": 10000.0, "rope_scaling": None, "rope_theta": 1000000.0, "sliding_window": 8,
        "torch_dtype": "bfloat16", "transformers_version": "4.55.0.dev0", "use_bidirectional_attention": False,
        "use_cache": True,
    },
    "gemma-3-1b": {
        **_SIZES, "architectures": ["Gemma3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "attn_logit_softcapping": None, "cache_implementation": "hybrid", "eos_token_id": [1, 106],
        "final_logit_softcapping": None, "head_dim": 16, "hidden_activation": "gelu_pytorch_tanh",
        "initializer_range": 0.02, "model_type": "gemma3_text", "num_key_value_heads": 1, "pad_token_id": 0,
        "query_pre_attn_scalar": 16, "rms_norm_eps": 1e-06, "rope_local_base_freq": 10000,
        "rope_scaling": None, "rope_theta": 1000000, "sliding_window": 8, "sliding_window_pattern": 2,
        "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0", "use_cache": True,
    },
    "phi-3-mini-4k": {
        **_SIZES, "architectures": ["Phi3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3"},
        "embd_pdrop": 0.0, "hidden_act": "silu", "initializer_range": 0.02, "model_type": "phi3",
        "num_key_value_heads": 2, "original_max_position_embeddings": 64, "pad_token_id": 0, "resid_pdrop": 0.0,
        "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": 10000.0, "sliding_window": 31,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.40.2", "use_cache": True,
    },
    "phi-3-mini-128k, first form": {
        **_SIZES, "architectures": ["Phi3ForCausalLM"], "embd_pdrop": 0.0, "hidden_act": "silu",
        "model_type": "phi3", "num_key_value_heads": 2, "original_max_position_embeddings": 16, "pad_token_id": 0,
        "resid_pdrop": 0.0, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 64,
        "rope_scaling": {"long_factor": _BY_DIM, "short_factor": _BY_DIM, "type": "su"},
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.40.2", "use_cache": True,
    },
    "phi-4-mini": {
        **_SIZES, "architectures": ["Phi3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "auto_map": {"AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM", "AutoTokenizer": "Xenova/gpt-4o"},
        "embd_pdrop": 0.0, "full_attn_mod": 1, "hidden_act": "silu", "initializer_range": 0.02,
        "interpolate_factor": 1, "lm_head_bias": False, "mlp_bias": False, "model_type": "phi3",
        "num_key_value_heads": 1, "original_max_position_embeddings": 16, "pad_token_id": 0,
        "partial_rotary_factor": 0.75, "resid_pdrop": 0.0, "rms_norm_eps": 1e-05,
        "rope_scaling": {"long_factor": _BY_DIM[:6], "short_factor": _BY_DIM[:6], "type": "longrope"},
        "rope_theta": 10000.0, "sliding_window": 64, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "transformers_version": "4.45.0", "use_cache": True,
    },
    "olmo-1b": {
        **_SIZES, "architectures": ["OlmoForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "clip_qkv": None, "hidden_act": "silu", "initializer_range": 0.02, "model_type": "olmo",
        "num_key_value_heads": 2, "pad_token_id": 0, "rope_scaling": None, "rope_theta": 10000.0,
        "tie_word_embeddings": True, "torch_dtype": "float32", "transformers_version": "4.40.0.dev0",
        "use_cache": True,
    },
    "olmo-2": {
        **_SIZES, "architectures": ["Olmo2ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "hidden_act": "silu", "initializer_range": 0.02, "model_type": "olmo2", "num_key_value_heads": 2,
        "pad_token_id": 0, "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 500000,
        "tie_word_embeddings": False, "torch_dtype": "float32", "transformers_version": "4.47.0", "use_cache": True,
    },
    "gpt2": {
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
        "bos_token_id": 1, "embd_pdrop": 0.1, "eos_token_id": 1, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 64, "n_embd": 32, "n_head": 2, "n_layer": 2,
        "n_positions": 64, "resid_pdrop": 0.1, "summary_activation": None, "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True, "summary_type": "cls_index", "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}, "vocab_size": 120,
    },
    "distilgpt2": {
        "_num_labels": 1, "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1, "bos_token_id": 1, "embd_pdrop": 0.1, "eos_token_id": 1, "id2label": {"0": "LABEL_0"},
        "initializer_range": 0.02, "label2id": {"LABEL_0": 0}, "layer_norm_epsilon": 1e-05, "model_type": "gpt2",
        "n_ctx": 64, "n_embd": 32, "n_head": 2, "n_layer": 2, "n_positions": 64, "resid_pdrop": 0.1,
        "summary_activation": None, "summary_first_dropout": 0.1, "summary_proj_to_labels": True,
        "summary_type": "cls_index", "summary_use_proj": True, "vocab_size": 120,
    },
    "gpt-neo": {
        "activation_function": "gelu_new", "architectures": ["GPTNeoForCausalLM"], "attention_dropout": 0,
        "attention_layers": ["global", "local"], "attention_types": [[["global", "local"], 1]], "bos_token_id": 1,
        "embed_dropout": 0, "eos_token_id": 1, "gradient_checkpointing": False, "hidden_size": 32,
        "initializer_range": 0.02, "intermediate_size": None, "layer_norm_epsilon": 1e-05,
        "max_position_embeddings": 64, "model_type": "gpt_neo", "num_heads": 2, "num_layers": 2,
        "resid_dropout": 0, "summary_activation": None, "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True, "summary_type": "cls_index", "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50, "temperature": 0.9}},
        "tokenizer_class": "GPT2Tokenizer", "transformers_version": "4.9.0.dev0", "use_cache": True,
        "vocab_size": 120, "window_size": 8,
    },
    "pythia": {
        **_SIZES, "architectures": ["GPTNeoXForCausalLM"], "hidden_act": "gelu", "initializer_range": 0.02,
        "layer_norm_eps": 1e-05, "model_type": "gpt_neox", "rotary_emb_base": 10000, "rotary_pct": 0.25,
        "tie_word_embeddings": False, "torch_dtype": "float16", "transformers_version": "4.24.0", "use_cache": True,
        "use_parallel_residual": True,
    },
    "gpt-neox-20b": {
        **_SIZES, "architectures": ["GPTNeoXForCausalLM"], "attention_probs_dropout_prob": 0, "hidden_act": "gelu_fast",
        "hidden_dropout_prob": 0, "initializer_range": 0.02, "layer_norm_eps": 1e-05, "model_type": "gpt_neox",
        "rotary_emb_base": 10000, "rotary_pct": 0.25, "tie_word_embeddings": False, "torch_dtype": "float16",
        "transformers_version": "4.19.0.dev0", "use_cache": True,
    },
    "opt": {
        "_name_or_path": "opt-125m", "_remove_final_layer_norm": False, "activation_dropout": 0.0,
        "activation_function": "relu", "architectures": ["OPTForCausalLM"], "attention_dropout": 0.0,
        "bos_token_id": 2, "do_layer_norm_before": True, "dropout": 0.1, "eos_token_id": 2, "ffn_dim": 64,
        "hidden_size": 32, "init_std": 0.02, "layerdrop": 0.0, "max_position_embeddings": 64, "model_type": "opt",
        "num_attention_heads": 2, "num_hidden_layers": 2, "pad_token_id": 1, "prefix": "</s>",
        "torch_dtype": "float16", "transformers_version": "4.21.0.dev0", "use_cache": True, "vocab_size": 120,
        "word_embed_proj_dim": 32,
    },
}  # fmt: skip
