"""A visitor of the app without a browser: Streamlit's own protocol over a WebSocket, so that scripts run in the server.

It keeps what a browser would keep (the page, its address, what every widget is set to, which parts of a page ask to be
drawn again every few seconds) and can do what a person can: go to a page, press a button, set a widget.
"""

import random
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

ANSWER_S = 120.0  # for a script to end
_UNEXPECTED = re.compile(r"unexpected", re.IGNORECASE)  # as pages say of what nobody foresaw
_SET = ("selectbox", "radio", "slider", "checkbox", "button_group", "multiselect", "number_input")
MOST_OPTIONS = 200  # of a widget that are chosen from


class Visitor:
    """One tab. Not for several threads."""

    def __init__(self, url: str, seed: int) -> None:
        address = url.replace("http", "ws", 1) + "/_stcore/stream"
        self._open = ExitStack()
        self._socket = self._open.enter_context(
            connect(address, subprotocols=["streamlit"], origin=url, max_size=None, open_timeout=ANSWER_S)
        )
        self._chance = random.Random(seed)
        self.pages: dict[str, str] = {}  # script hash by name
        self.page, self.query = "", ""
        self.errors: list[str] = []
        self._elements: dict[tuple[int, ...], tuple[str, Element]] = {}  # by place; with the fragment that it is of
        self._drawn: set[tuple[int, ...]] = set()
        self._states: dict[str, WidgetState] = {}
        self._polls: dict[str, tuple[float, float]] = {}  # fragment -> (seconds between, when next)
        self._known: dict[str, ForwardMsg] = {}  # long messages that the server sends once
        self._waits = False
        self.go("")

    def close(self) -> None:
        self._open.close()

    def go(self, page: str, query: str = "") -> float:
        """Open a page as a link does. Seconds until it is drawn."""
        self.page, self.query = page, query
        self._states.clear()
        self._polls.clear()
        return self._ask()

    def press(self, button: str) -> float:
        """Press the button of this id."""
        return self._ask(WidgetState(id=button, trigger_value=True))

    def set(self, state: WidgetState) -> float:
        """Set a widget."""
        self._states[state.id] = state
        return self._ask()

    def look(self, seconds: float) -> None:
        """Read the page for so long; parts that poll are drawn again meanwhile."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            due = [fragment for fragment, (_, at) in self._polls.items() if at <= now]
            for fragment in due:
                if fragment not in self._polls:  # gone from the page since another was drawn again
                    continue
                every, _ = self._polls[fragment]
                self._polls[fragment] = every, now + every
                self._ask(fragment=fragment)
            soonest = min((at for _, at in self._polls.values()), default=until)
            self._hear(max(0.01, min(until, soonest) - time.monotonic()))

    def elements(self, kind: str) -> Iterator[Any]:
        """Those of a kind on the page now."""
        for _, element in self._elements.values():
            if element.WhichOneof("type") == kind:
                yield getattr(element, kind)

    def buttons(self) -> dict[str, str]:
        """Id -> label of those that can be pressed."""
        return {one.id: one.label for one in self.elements("button") if not one.disabled and not one.form_id}

    def settable(self) -> list[WidgetState]:
        """Of each widget that can be set, one state that it might be given."""
        found = []
        for kind in _SET:
            for widget in self.elements(kind):
                if not widget.disabled and not widget.form_id and (state := self._drawn_state(kind, widget)):
                    found.append(state)
        return found

    def _drawn_state(self, kind: str, widget: Any) -> WidgetState | None:
        state = WidgetState(id=widget.id)
        if kind in ("selectbox", "radio"):
            if not widget.options:
                return None
            state.string_value = self._chance.choice(widget.options[:MOST_OPTIONS])
        elif kind == "multiselect":
            options = list(widget.options[:MOST_OPTIONS])
            state.string_array_value.data.extend(self._chance.sample(options, min(len(options), 2)))
        elif kind == "button_group":
            state.string_array_value.data.append(self._chance.choice(widget.options).content)
        elif kind == "checkbox":
            state.bool_value = self._chance.random() < 0.5
        elif kind == "slider":
            return self._slid(widget, state)
        else:
            state.double_value = widget.default
        return state

    def _slid(self, widget: Any, state: WidgetState) -> WidgetState:
        if widget.options:  # a slider of texts
            chosen = sorted(self._chance.choices(range(len(widget.options)), k=len(widget.default)))
            state.string_array_value.data.extend(widget.options[place] for place in chosen)
        else:
            n_steps = max(1, round((widget.max - widget.min) / (widget.step or 1)))
            values = sorted(widget.min + widget.step * self._chance.randint(0, n_steps) for _ in widget.default)
            state.double_array_value.data.extend(min(value, widget.max) for value in values)
        return state

    def _ask(self, pressed: WidgetState | None = None, fragment: str = "") -> float:
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string, asked.page_script_hash = self.query, self.pages.get(self.page, "")
        asked.page_name = "" if asked.page_script_hash else self.page
        asked.fragment_id, asked.is_auto_rerun = fragment, bool(fragment)
        asked.cached_message_hashes.extend(self._known)
        asked.widget_states.widgets.extend([*self._states.values(), *([pressed] if pressed else [])])
        self._waits = True
        began = time.monotonic()
        self._socket.send(message.SerializeToString())
        while self._waits:
            if time.monotonic() - began > ANSWER_S:
                self.errors.append(f"{self.page}: no answer for {ANSWER_S:g} s")
                self._waits = False
            self._hear(1.0)
        return time.monotonic() - began

    def _hear(self, seconds: float) -> None:
        """One message, if there is one in time."""
        try:
            raw = self._socket.recv(timeout=seconds)
        except TimeoutError:
            return
        message = ForwardMsg()
        message.ParseFromString(raw)
        self._take(message)

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            known = self._known.get(message.ref_hash)
            if known is None:
                return
            known.metadata.CopyFrom(message.metadata)
            message, kind = known, known.WhichOneof("type")
        elif message.metadata.cacheable:
            self._known[message.hash] = message
        if kind == "delta":
            self._draw(message)
        elif kind == "new_session":
            if not message.metadata.run.fragment_ids:
                self._drawn = set()
                self._polls.clear()
        elif kind == "script_finished":
            self._end(message.script_finished)
        else:
            self._note(message, kind)

    def _note(self, message: ForwardMsg, kind: str | None) -> None:
        """What a browser remembers beside what it draws."""
        if kind == "navigation":
            self.pages = {page.url_pathname: page.page_script_hash for page in message.navigation.app_pages}
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "auto_rerun":
            every = max(message.auto_rerun.interval, 0.1)
            self._polls[message.auto_rerun.fragment_id] = every, time.monotonic() + every
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self._polls.pop(fragment, None)

    def _draw(self, message: ForwardMsg) -> None:
        place = tuple(message.metadata.delta_path)
        self._drawn.add(place)
        if message.delta.WhichOneof("type") != "new_element":
            self._elements.pop(place, None)
            return
        element = message.delta.new_element
        self._elements[place] = message.delta.fragment_id, element
        kind = element.WhichOneof("type")
        if kind == "exception":
            self.errors.append(f"{self.page}?{self.query}: {element.exception.type}: {element.exception.message}")
        elif kind == "alert" and element.alert.format == Alert.ERROR and _UNEXPECTED.search(element.alert.body):
            self.errors.append(f"{self.page}?{self.query}: {element.alert.body}")

    def _end(self, status: int) -> None:
        if status == ForwardMsg.FINISHED_EARLY_FOR_RERUN:  # another run follows
            return
        self._waits = False
        if status == ForwardMsg.FINISHED_SUCCESSFULLY:
            self._elements = {place: one for place, one in self._elements.items() if place in self._drawn}
            ids = {getattr(getattr(one, one.WhichOneof("type")), "id", "") for _, one in self._elements.values()}
            self._states = {name: state for name, state in self._states.items() if name in ids}
