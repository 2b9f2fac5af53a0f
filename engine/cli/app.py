"""The command tree, and what every command shares: the workspace, one-line errors, exit codes.

Exit codes: 0 done; 1 a fault of the program; 2 a value that cannot be used, or a check that found something;
130 stopped by Ctrl-C or canceled.
"""

import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer._click.exceptions import (
    ClickException,
    NoArgsIsHelpError,
)  # typer carries click and has no public door to it
from typer.core import TyperGroup

from engine.cli import (
    adapters,
    analysis,
    bench,
    circuits,
    corpus,
    demo,
    export,
    features,
    graphs,
    interventions,
    jobs,
    mean_circuit,
    models,
    runs,
    start,
    store,
    study,
    taught,
    timelapse,
    training,
    where,
)
from engine.cli.context import Settings
from engine.cli.output import plain
from engine.domain.errors import Canceled, InputError, TracelapseError

logger = logging.getLogger(__name__)
STOPPED = 130  # what a shell gives for Ctrl-C


class Commands(TyperGroup):
    """Takes `--workspace` anywhere on the line, and turns what goes wrong into one line and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  (click's signature)
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002
        **extra: Any,
    ) -> Any:
        words = workspace_first(sys.argv[1:] if args is None else list(args))
        sys.exit(self._exit_code(words, prog_name, complete_var, extra))

    def _exit_code(
        self, args: list[str], prog_name: str | None, complete_var: str | None, extra: dict[str, Any]
    ) -> int:
        try:
            refuse_half_characters(args)
            # typer returns the code of an Exit, 130 for Ctrl-C, and None from a command that came to its end
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra) or 0
            return stopped() if code == STOPPED else code
        except NoArgsIsHelpError as error:
            error.show()
            return 2
        except ClickException as error:
            return fail(error.format_message(), 2)
        except TracelapseError as error:
            return fail(str(error), 2)
        except ValidationError as error:
            return fail("; ".join(map(_reason, error.errors(include_url=False))), 2)
        except (typer.Abort, KeyboardInterrupt, Canceled):
            return stopped()
        except BrokenPipeError:
            sys.stderr.close()  # the reader went away (`| head`): nobody is left to tell
            return 1
        except OSError as error:
            return fail(f"{error.filename or 'The disk'}: {error.strerror or error}.", 2)
        except Exception as error:
            logger.debug("unexpected", exc_info=error)
            return fail(f"Unexpected {type(error).__name__}: {error}. `--debug` before the command shows where.", 1)


def _reason(error: Mapping[str, Any]) -> str:
    """What a check of ours says is a sentence already; pydantic's own needs the field and the value."""
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']} (given: {error['input']!r:.80})"


def refuse_half_characters(args: Sequence[str]) -> None:
    """What is no UTF-8 on the command line could be neither shown nor stored. Raises InputError."""
    for word in args:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"“{plain(word)[:80]}” is not UTF-8 text. Write it in UTF-8.") from error


def workspace_first(args: list[str]) -> list[str]:
    """The same words with `--workspace DIR` (wherever it stood before a `--`) in front of the command."""
    end = args.index("--") if "--" in args else len(args)
    front, rest, row = [], [], 0
    while row < end:
        word = args[row]
        if word == "--workspace" and row + 1 < end:
            front += args[row : row + 2]
            row += 1
        elif word.startswith("--workspace="):
            front.append(word)
        else:
            rest.append(word)
        row += 1
    return front + rest + args[end:]


def stopped() -> int:
    """By Ctrl-C, or because another process canceled the job. Returns the exit code."""
    sys.stderr.write("Stopped.\n")
    return STOPPED


def fail(message: str, code: int) -> int:
    """The message as one line on stderr; returns the exit code."""
    sys.stderr.write(f"Error: {plain(' '.join(message.split()))}\n")
    return code


app = typer.Typer(
    cls=Commands,
    help="Watch circuits form while a language model is fine-tuned.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def settings(
    ctx: typer.Context,
    *,
    workspace: Annotated[
        str | None,
        typer.Option(
            help="Where runs, corpora and graphs are kept.", envvar="TRACELAPSE_HOME", show_default="data/runs"
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show warnings, logs and tracebacks.")] = False,
) -> None:
    """Watch circuits form while a language model is fine-tuned.

    RUN@CKPT names a checkpoint: RUN@base, RUN@25%, RUN@step150. `--json FILE` writes data (`-` is stdout).
    """
    # without --debug an error is one line: jobs log their tracebacks at level ERROR
    logging.basicConfig(level=logging.INFO if debug else logging.CRITICAL, format="%(levelname)s %(name)s: %(message)s")
    if debug:
        logging.getLogger("engine").setLevel(logging.DEBUG)
    else:
        warnings.simplefilter("ignore")  # other packages' notes to programmers
    if workspace is not None and not workspace.strip():
        raise InputError("--workspace is empty: it would be the folder you are in. Name a folder, or leave it out.")
    ctx.obj = Settings(workspace)


for room in (
    start,
    demo,
    corpus,
    training,
    runs,
    analysis,
    where,
    taught,
    graphs,
    mean_circuit,
    circuits,
    timelapse,
    interventions,
    features,
    export,
    adapters,
    models,
    jobs,
    study,
    store,
    bench,
):
    room.add_to(app)
