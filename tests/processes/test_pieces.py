"""The pieces of the processes backend, each alone: frames, errors as data, parcels, the journal."""

from __future__ import annotations

import marshal
import pickle
import socket
import threading
from collections import deque
from typing import Any

import failing_jobs as failing
import pages
import process_jobs as jobs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gofer.backends import _letters, _parcels
from gofer.backends._copies import Copy
from gofer.backends._hand import replies
from gofer.backends._parcels import NotPicklable, Parcel, aside, pack, pack_for, pack_function
from gofer.backends._wire import Reader, Writer, framed

# Frames

BUFFER = st.tuples(st.binary(max_size=300), st.booleans())
FRAME = st.tuples(st.binary(max_size=300), st.lists(BUFFER, max_size=4))


def sent(frames: Any) -> bytes:
    """Return the bytes of frames, one after the other."""
    pieces = [
        piece
        for body, buffers in frames
        for piece in framed(body, [bytearray(b) if w else b for b, w in buffers])
    ]
    return b"".join(bytes(each) for each in pieces)


def expected(frames: Any) -> list[Any]:
    """Return what frames are when they have arrived."""
    return [(body, [bytearray(b) if w else b for b, w in buffers]) for body, buffers in frames]


class Chunks:
    """A socket that gives its bytes in chunks of given sizes."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes = data, deque(sizes)

    def _next(self, most: int) -> bytes:
        size = min(most, self._sizes.popleft() if self._sizes else most)
        part, self._data = self._data[:size], self._data[size:]
        return part

    def recv(self, most: int, _flags: int) -> bytes:
        """Give the next chunk."""
        return self._next(most)

    def recv_into(self, view: Any, _size: int, _flags: int) -> int:
        """Give the next chunk."""
        part = self._next(len(view))
        view[: len(part)] = part
        return len(part)


def read_all(data: bytes, sizes: list[int]) -> list[Any]:
    """Read frames until the end."""
    reader, found = Reader(Chunks(data, sizes)), []  # type: ignore[arg-type]
    try:
        while True:
            found += reader.read()
    except EOFError:
        return found


def shown(frames: list[Any]) -> list[Any]:
    """Return frames with the types of their buffers, to be compared."""
    return [(body, [(type(each), bytes(each)) for each in buffers]) for body, buffers in frames]


@given(st.lists(FRAME, max_size=5), st.lists(st.integers(1, 50)))
def test_frames_arrive_as_they_were_however_they_are_cut(frames: Any, sizes: list[int]) -> None:
    """Bodies, buffers, and whether these can be written."""
    assert shown(read_all(sent(frames), sizes)) == shown(expected(frames))


@given(st.lists(FRAME, min_size=1, max_size=3))
def test_a_frame_that_is_cut_off_is_not_given(frames: Any) -> None:
    """At every byte: those before it are whole, it is not there, and nothing is raised but EOF."""
    data = sent(frames)
    ends = []
    for count in range(1, len(frames) + 1):
        ends.append(len(sent(frames[:count])))
    whole = shown(expected(frames))
    for cut in range(0, len(data), max(1, len(data) // 60)):
        found = shown(read_all(data[:cut], []))
        assert found == whole[: len(found)]
        assert len(found) == sum(end <= cut for end in ends)


def test_a_writer_never_blocks_and_loses_nothing() -> None:
    """What the socket does not take waits; more than 64 pieces, and pieces larger than the pipe."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer, reader = Writer(ours), Reader(theirs)
        frames = [(b"x" * i, [bytes(1 << 17), bytearray(b"y" * (i + 1))]) for i in range(200)]
        for body, buffers in frames:
            writer.put(framed(body, buffers))
        assert not writer.flush()
        found: list[Any] = []
        while len(found) < len(frames):
            found += reader.read()
            writer.flush()
        assert writer.flush()
        assert shown(found) == shown(frames)


def test_a_large_buffer_is_received_where_it_stays() -> None:
    """``bytes`` without a copy, and a ``bytearray`` that is received into itself."""
    data = sent([(b"body", [(bytes(1 << 20), False), (bytes(1 << 20), True)])])
    ((body, (fixed, writable)),) = read_all(data, [])
    assert body == b"body"
    assert (type(fixed), len(fixed)) == (bytes, 1 << 20)
    assert (type(writable), len(writable)) == (bytearray, 1 << 20)


# Parcels


@pytest.mark.parametrize("thing", [None, 1, "x", [1, {"a": (2,)}], pages.Page, jobs.square])
def test_what_pickles_is_a_parcel_without_buffers(thing: Any) -> None:
    """And is what it was when it is opened."""
    parcel = pack(thing)
    assert parcel.buffers == []
    assert parcel.open() == thing
    assert parcel.size == len(parcel.data)


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_large_bytes_go_beside_the_pickle(kind: Any) -> None:
    """From ``LARGE`` on; they are not copied into it."""
    small, large = kind(_parcels.LARGE - 1), kind(_parcels.LARGE)
    assert aside(small) is small
    parcel = pack(aside(large))
    assert len(parcel.data) < 200
    assert parcel.size >= _parcels.LARGE
    came = Parcel(parcel.data, [bytes(each) if kind is bytes else bytearray(each)
                                for each in parcel.buffers]).open()  # fmt: skip
    assert came == large
    assert type(came) is kind


def test_a_buffer_that_is_not_contiguous_goes_in_the_pickle() -> None:
    """It could not be sent as it stands."""
    buffer = pickle.PickleBuffer(memoryview(bytearray(1 << 18))[::2])
    with pytest.raises(Exception, match="contiguous"):
        pack(buffer)


class Slotted:
    """Has slots, one of them as a string."""

    __slots__ = "lock"  # noqa: PLC0205

    def __init__(self) -> None:
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("thing", "path"),
    [
        ({"a": [1, (threading.Lock(),)]}, "it['a'][1][0]"),
        (Slotted(), "it.lock"),
        (failing.holder_of_a_lock(), "it.lock"),
        (threading.Lock(), "it"),
    ],
)
def test_the_part_that_does_not_pickle_is_named(thing: Any, path: str) -> None:
    """Down to the innermost."""
    with pytest.raises(NotPicklable) as caught:
        pack_for("job", "it", thing)
    assert caught.value.what == path
    assert caught.value.kind == "lock"


def test_a_thing_in_a_circle_with_what_does_not_pickle_is_named_too() -> None:
    """The search for the part ends."""
    holder = failing.holder_of_a_lock()
    holder.again = holder  # type: ignore[attr-defined]
    with pytest.raises(NotPicklable, match="lock"):
        pack_for("job", "it", holder)


def test_fingerprints_see_what_is_in_the_buffers() -> None:
    """Two parcels whose pickles are the same."""
    data = bytearray(1 << 17)
    before = pack(jobs.Buffer(data)).print
    assert pack(jobs.Buffer(data)).print == before
    data[-1] = 1
    assert pack(jobs.Buffer(data)).print != before


def test_a_function_that_a_job_hides_is_found_by_its_name() -> None:
    """``@job`` stands in its place."""
    parcel = pack_function("square", jobs.decorated.fn)
    assert b"decorated" in parcel.data
    assert parcel.open() is jobs.decorated.fn


# The journal


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.text(max_size=20)), max_size=20))
def test_replies_are_read_from_the_journal_as_they_were_written(texts: Any) -> None:
    """One after the other, each with its length."""
    written = [(number, _letters.DONE, 0.0, 1.0, text, 0) for number, text in texts]
    body = b""
    for reply in written:
        data = marshal.dumps(reply)
        body += _letters.LENGTH.pack(len(data)) + data
    assert [reply for reply, _ in replies(body, deque())] == written


def test_the_fields_of_the_journal_do_not_overlap() -> None:
    """Each has its own bytes, and the replies have the rest."""
    fields = [
        (0, _letters.CURRENT.size),
        (_letters.COUNT_AT, _letters.COUNT.size),
        (_letters.TARGET_AT, _letters.TARGET.size),
        (_letters.REPLIES_AT - 8, 8),  # room for a frame's head
    ]
    used = [byte for start, size in fields for byte in range(start, start + size)]
    assert len(used) == len(set(used))
    assert max(used) < _letters.REPLIES_AT


# Copies


def test_a_copy_lends_and_takes_back_again_and_again() -> None:
    """Outside of a job the param is of its own class."""
    page = pages.Page()
    copy = Copy(page)
    for _ in range(3):
        lent = copy.lend()
        assert type(lent) is not pages.Page
        assert isinstance(lent, pages.Page)
        assert lent.__class__ is pages.Page
        assert copy.take_back() is None
        assert type(page) is pages.Page
    page.total = 5
    assert copy.take_back() == "param.total"


def test_two_copies_of_one_class_do_not_meet() -> None:
    """Each refuses for its own job."""
    first, second = Copy(pages.Page()), Copy(pages.Page())
    first.job, second.job = "one", "two"
    lent = first.lend()
    second.param.total = 3  # it is not lent
    with pytest.raises(AttributeError, match="'one'"):
        lent.total = 3
    assert first.take_back() == "param.total"


def test_a_pickle_that_is_too_large_for_a_frame_is_that_jobs_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said before it is sent: what carries it would fail, and the pool with it."""
    monkeypatch.setattr(_parcels, "_MOST", 1000)
    with pytest.raises(NotPicklable, match="more than 1000 bytes"):
        pack_for("job", "its argument 0", list(range(1000)))


def test_what_pickle_adds_to_its_errors_names_keys_and_is_dropped_from_all_of_them() -> None:
    """As Python 3.14 does, to each error: cloudpickle's own, and the one that it is from."""

    class Refuses:
        def __reduce__(self) -> Any:
            try:
                error = TypeError("not this")
                error.add_note("when serializing dict item 'hunter2'")
                error.add_note("said by the program")
                raise error
            except TypeError as cause:
                outer = ValueError("nor so")
                outer.add_note("when serializing list item 0")
                raise outer from cause

    with pytest.raises(NotPicklable) as caught:
        pack_for("send", "its result", [{"hunter2": Refuses()}])

    told: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        told += getattr(error, "__notes__", ())
        error = error.__cause__ or error.__context__
    assert set(told) == {"said by the program"}
