"""The only module that touches libbitcoinkernel. It takes and gives bytes, and never lets a foreign pointer out.

The C calls of the package ``py-bitcoinkernel`` are used directly: its Python classes copy block bytes one by one
(50 times slower) and hide the state of a refused header. What is peculiar about the library, all of it measured:

* ``process_block`` returns 0 also when the block fails later, at connecting. The truth comes through the callback
  ``block_checked``, as the class of the fault; the *name* of the rule only through the log (:mod:`.kernel_log`).
* An exception in a callback would be printed and lost. Callbacks here only store; what they store is raised when the C
  call has returned. Ctrl-C waits for that, too (:mod:`.interrupts`).
* Bytes after the end of a block are ignored by its parser. A block is taken only if it cannot be parsed any more with
  its last byte missing.
* A block tree entry and the chain are views into the manager: they are turned into bytes at once and never kept.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import pbk.capi.bindings as k

from ...base.errors import BugError, StoreError
from ...base.names import BlockHash
from .interrupts import interrupts_wait
from .kernel_log import KernelLog

_Buffer32: Final = ctypes.c_ubyte * 32
_Buffer80: Final = ctypes.c_ubyte * 80
_MODE_VALID: Final = 0
_MODE_ERROR: Final = 2
_LOG_VALIDATION: Final = 9
_LOG_DEBUG: Final = 1


class KernelError(StoreError):
    """The kernel met trouble of its own while it worked: a disk, or its files."""


class Fault(IntEnum):
    """``btck_BlockValidationResult``: the class of rule that was broken."""

    UNSET = 0
    CONSENSUS = 1
    CACHED_INVALID = 2
    INVALID_HEADER = 3
    MUTATED = 4
    MISSING_PREV = 5
    INVALID_PREV = 6
    TIME_FUTURE = 7
    HEADER_LOW_WORK = 8


_RULES: Final = {
    Fault.CACHED_INVALID: "duplicate-invalid",
    Fault.MISSING_PREV: "prev-blk-not-found",
    Fault.INVALID_PREV: "bad-prevblk",
    Fault.TIME_FUTURE: "time-too-new",
    Fault.HEADER_LOW_WORK: "too-little-chainwork",
    Fault.MUTATED: "block-mutated",
}
"""Names, as Bitcoin Core has them, for refusals whose log line names none."""


_VERIFY_ALL: Final = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 17
"""P2SH, DERSIG, NULLDUMMY, CHECKLOCKTIMEVERIFY, CHECKSEQUENCEVERIFY, WITNESS, TAPROOT: all that a next block obeys."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A hash with which the kernel finds fault, the class of the fault and the name of the rule."""

    hash: BlockHash
    fault: Fault
    rule: str


@dataclass(frozen=True, slots=True)
class Processed:
    """What became of a block: ``refused`` if it was, and the refusals of *other* blocks found on the way."""

    refused: Refused | None
    others: tuple[Refused, ...] = ()


_LOG: Final = KernelLog()
_CONNECTION: Final[list[Any]] = []
"""The connection to the process-wide log, once it is made; it lives as long as the process."""
_CONNECTING: Final = threading.Lock()


class _Caught(threading.local):
    """What callbacks of the C call that this thread is making have raised: Ctrl-C, want of memory, a defect."""

    def __init__(self) -> None:
        self.raised: list[BaseException] = []


_CAUGHT: Final = _Caught()


def _kept(callback: Callable[..., None]) -> Callable[..., None]:
    """``callback``, but what it raises is stored for :meth:`Kernel._settle`: ctypes would print and forget it."""

    def guarded(*arguments: Any) -> None:
        try:
            callback(*arguments)
        except BaseException as error:  # noqa: BLE001 raised again, unchanged, when the C call has returned
            _CAUGHT.raised.append(error)

    return guarded


def _on_line(_data: object, message: Any, length: int) -> None:
    _LOG.add(ctypes.string_at(message, length))


_LINE_CALLBACK: Final = k.btck_LogCallback(_kept(_on_line))


def _connect_log() -> None:
    """Ask for the lines that name rules, without timestamps. Setting options needs a lock (``bitcoinkernel.h``)."""
    with _CONNECTING:
        if _CONNECTION:
            return
        k.btck_logging_set_options(k.btck_LoggingOptions(always_print_category_levels=1))
        k.btck_logging_set_level_category(_LOG_VALIDATION, _LOG_DEBUG)
        k.btck_logging_enable_category(_LOG_VALIDATION)
        connection = k.btck_logging_connection_create(_LINE_CALLBACK, None, k.btck_DestroyCallback())
        if not connection:
            msg = "libbitcoinkernel gives no log, so broken rules could not be named"
            raise StoreError(msg)
        _CONNECTION.append(connection)


def first_bad_input(transaction: bytes, spent: Sequence[tuple[int, bytes]]) -> int | None:
    """The first input whose script does not hold, ``None`` if all do. It needs no open chain state.

    Args:
        transaction: a whole one.
        spent: amount and script of the outputs that it spends, parallel to its inputs.
    """
    handle = k.btck_transaction_create(transaction, len(transaction))
    if not handle:
        raise BugError("the kernel cannot read a transaction that was parsed")
    scripts: list[Any] = []
    outputs: list[Any] = []
    known: Any = None
    try:
        for amount, script in spent:
            scripts.append(k.btck_script_pubkey_create(script, len(script)))
            outputs.append(k.btck_transaction_output_create(scripts[-1], amount))
        known = k.btck_precomputed_transaction_data_create(
            handle, (ctypes.POINTER(k.struct_btck_TransactionOutput) * len(outputs))(*outputs), len(outputs)
        )
        status = ctypes.c_ubyte()
        for index, (amount, _) in enumerate(spent):
            if not k.btck_script_pubkey_verify(
                scripts[index], amount, handle, known, index, _VERIFY_ALL, ctypes.byref(status)
            ):
                return index
    finally:
        if known:
            k.btck_precomputed_transaction_data_destroy(known)
        for output in outputs:
            k.btck_transaction_output_destroy(output)
        for made in scripts:
            k.btck_script_pubkey_destroy(made)
        k.btck_transaction_destroy(handle)
    return None


class Kernel:
    """One open chain state. All verbs but the constructor's are for one thread at a time.

    Args:
        chain_type: as in :class:`~.networks.Network`.
        directory: where the kernel keeps its files; made if missing.
        workers: script-checking threads besides the caller's.

    Raises:
        StoreError: it cannot be opened; the text holds what the kernel said.
    """

    def __init__(self, chain_type: int, directory: Path, *, workers: int = 0) -> None:
        _connect_log()
        self._checked: list[tuple[BlockHash, int, int]] = []
        self._trouble: list[str] = []
        self._manager: Any = None
        self._context: Any = None
        # The library stores raw pointers to these trampolines: they live as long as the context.
        self._validation = k.btck_ValidationInterfaceCallbacks()
        self._validation.block_checked = k.btck_ValidationInterfaceBlockChecked(_kept(self._on_checked))
        self._notifications = k.btck_NotificationInterfaceCallbacks()
        self._notifications.fatal_error = k.btck_NotifyFatalError(_kept(self._on_trouble))
        self._notifications.flush_error = k.btck_NotifyFlushError(_kept(self._on_trouble))
        directory.mkdir(parents=True, exist_ok=True)
        self._open(chain_type, str(directory).encode(), str(directory / "blocks").encode(), workers)

    def _open(self, chain_type: int, data: bytes, blocks: bytes, workers: int) -> None:
        _LOG.take_errors()
        parameters = k.btck_chain_parameters_create(chain_type)
        options = k.btck_context_options_create()
        k.btck_context_options_set_chainparams(options, parameters)
        k.btck_context_options_set_validation_interface(options, self._validation)
        k.btck_context_options_set_notifications(options, self._notifications)
        self._context = k.btck_context_create(options)
        k.btck_context_options_destroy(options)
        k.btck_chain_parameters_destroy(parameters)
        settings = k.btck_chainstate_manager_options_create(self._context, data, len(data), blocks, len(blocks))
        if settings:
            k.btck_chainstate_manager_options_set_worker_threads_num(settings, workers)
            with interrupts_wait():
                self._manager = k.btck_chainstate_manager_create(settings)
            k.btck_chainstate_manager_options_destroy(settings)
        if not self._manager:
            self._manager = None
            said = "; ".join(self._trouble) or _LOG.take_errors() or "no reason given"
            self.close()
            raise StoreError(said)
        self._settle()

    def close(self) -> None:
        """Flush and release everything. A second call does nothing.

        Raises:
            KernelError: the flush failed.
        """
        manager, self._manager = self._manager, None
        context, self._context = self._context, None
        with interrupts_wait():
            if manager is not None:
                k.btck_chainstate_manager_destroy(manager)
            if context:
                k.btck_context_destroy(context)
        if manager is not None:
            self._settle()

    # -- questions

    def tip(self) -> tuple[int, BlockHash]:
        """Height and hash of the active chain's end."""
        chain = k.btck_chainstate_manager_get_active_chain(self._open_manager)
        height = int(k.btck_chain_get_height(chain))
        return height, self._name(k.btck_chain_get_by_height(chain, height))

    def active_hash(self, height: int) -> BlockHash | None:
        """The active chain's hash at a height, or ``None`` above the tip."""
        chain = k.btck_chainstate_manager_get_active_chain(self._open_manager)
        entry = k.btck_chain_get_by_height(chain, height)
        return self._name(entry) if entry else None

    def is_active(self, block_hash: BlockHash) -> bool:
        """Whether a hash is in the active chain, hence its block valid and with the kernel."""
        entry = self._entry(block_hash)
        chain = k.btck_chainstate_manager_get_active_chain(self._open_manager)
        return bool(entry) and bool(k.btck_chain_contains(chain, entry))

    def headers_above(self, known: Callable[[BlockHash], bool]) -> list[bytes]:
        """The headers of the chain with most work that stand above its last ``known`` one (or genesis), upwards."""
        entry = k.btck_chainstate_manager_get_best_entry(self._open_manager)
        found: list[bytes] = []
        while k.btck_block_tree_entry_get_height(entry) > 0 and not known(self._name(entry)):
            found.append(self._header(entry))
            entry = k.btck_block_tree_entry_get_previous(entry)
        found.reverse()
        return found

    def headers_back(self, start: BlockHash, count: int) -> list[bytes]:
        """Up to ``count`` headers from ``start`` down towards genesis; none if it is unknown."""
        found: list[bytes] = []
        entry = self._entry(start)
        while entry and len(found) < count:
            found.append(self._header(entry))
            entry = k.btck_block_tree_entry_get_previous(entry)
        return found

    def read_block(self, block_hash: BlockHash) -> bytes | None:
        """A block from the kernel's own files, ``None`` if it is not there. Slow (10 ms a block): for repair only."""
        entry = self._entry(block_hash)
        block = k.btck_block_read(self._open_manager, entry) if entry else None
        if not block:
            return None
        parts: list[bytes] = []

        def write(data: int, length: int, _user: object) -> int:
            parts.append(ctypes.string_at(data, length))
            return 0

        failed = k.btck_block_to_bytes(block, k.btck_WriteBytes(write), None)
        k.btck_block_destroy(block)
        return None if failed else b"".join(parts)

    # -- judgements

    def submit_header(self, block_hash: BlockHash, header: bytes) -> Refused | None:
        """Check a header against the rules that need its ancestors, and keep it for ever if it is fine.

        Raises:
            KernelError: the kernel met trouble of its own.
        """
        _LOG.forget()
        handle = k.btck_block_header_create(header, len(header))
        state = k.btck_block_validation_state_create()
        with interrupts_wait():
            k.btck_chainstate_manager_process_block_header(self._open_manager, handle, state)
        mode = int(k.btck_block_validation_state_get_validation_mode(state))
        fault = int(k.btck_block_validation_state_get_block_validation_result(state))
        k.btck_block_validation_state_destroy(state)
        k.btck_block_header_destroy(handle)
        self._settle()
        return None if mode == _MODE_VALID else self._refused(block_hash, mode, fault)

    def submit_block(self, block_hash: BlockHash, block: bytes) -> Processed:
        """Check a block, keep it if it is fine, and connect it (or a whole branch) if it makes the best chain.

        Submitting a block anew is harmless.

        Raises:
            KernelError: the kernel met trouble of its own.
        """
        with self._parsed(block, len(block)) as handle:
            if handle is None:
                return Processed(Refused(block_hash, Fault.MUTATED, "block-undecodable"))
            with self._parsed(block, len(block) - 1) as shorter:
                if shorter is not None:
                    return Processed(Refused(block_hash, Fault.MUTATED, "block-trailing-bytes"))
            _LOG.forget()
            self._checked.clear()
            new = ctypes.byref(ctypes.c_int32())
            with interrupts_wait():
                failed = k.btck_chainstate_manager_process_block(self._open_manager, handle, new)
        self._settle()
        own: Refused | None = None
        others: list[Refused] = []
        for name, mode, fault in self._checked:
            if mode == _MODE_VALID:
                continue
            refused = self._refused(name, mode, fault)
            if name == block_hash:
                own = refused
            else:
                others.append(refused)
        if failed and own is None:
            msg = f"the kernel fails to process a block without naming a rule: {_LOG.take_errors()}"
            raise StoreError(msg)
        return Processed(own, tuple(others))

    # -- within

    @property
    def _open_manager(self) -> Any:
        if self._manager is None:
            msg = "a kernel is used after it was closed"
            raise BugError(msg)
        return self._manager

    @contextmanager
    def _parsed(self, block: bytes, length: int) -> Iterator[Any]:
        """The handle of a block in the first ``length`` bytes, ``None`` if they do not parse; freed at the end."""
        handle = k.btck_block_create(block, length)
        try:
            yield handle or None
        finally:
            if handle:
                k.btck_block_destroy(handle)

    def _entry(self, block_hash: BlockHash) -> Any:
        handle = k.btck_block_hash_create(_Buffer32.from_buffer_copy(block_hash))
        entry = k.btck_chainstate_manager_get_block_tree_entry_by_hash(self._open_manager, handle)
        k.btck_block_hash_destroy(handle)
        return entry

    def _name(self, entry: Any) -> BlockHash:
        buffer = _Buffer32()
        k.btck_block_hash_to_bytes(k.btck_block_tree_entry_get_block_hash(entry), buffer)
        return BlockHash(bytes(buffer))

    def _header(self, entry: Any) -> bytes:
        handle = k.btck_block_tree_entry_get_block_header(entry)
        buffer = _Buffer80()
        k.btck_block_header_to_bytes(handle, buffer)
        k.btck_block_header_destroy(handle)
        return bytes(buffer)

    def _refused(self, block_hash: BlockHash, mode: int, fault: int) -> Refused:
        if mode == _MODE_ERROR:
            msg = f"the kernel fails at a block: {_LOG.take_errors() or 'no reason given'}"
            raise KernelError(msg)
        kind = Fault(fault)
        return Refused(block_hash, kind, _LOG.rule(block_hash) or _RULES.get(kind, "block-invalid"))

    def _settle(self) -> None:
        """After a C call: raise what its callbacks stored."""
        if _CAUGHT.raised:
            first = _CAUGHT.raised[0]
            _CAUGHT.raised.clear()
            raise first
        if self._trouble:
            said = "; ".join(filter(None, (*self._trouble, _LOG.take_errors())))
            self._trouble.clear()
            msg = f"the kernel cannot go on: {said}"
            raise KernelError(msg)

    # -- callbacks: they only store

    def _on_checked(self, _data: object, block: Any, state: Any) -> None:
        buffer = _Buffer32()
        name = k.btck_block_get_hash(block)
        k.btck_block_hash_to_bytes(name, buffer)
        k.btck_block_hash_destroy(name)
        k.btck_block_destroy(block)
        mode = int(k.btck_block_validation_state_get_validation_mode(state))
        fault = int(k.btck_block_validation_state_get_block_validation_result(state))
        self._checked.append((BlockHash(bytes(buffer)), mode, fault))

    def _on_trouble(self, _data: object, message: Any, length: int) -> None:
        self._trouble.append(ctypes.string_at(message, length).decode("utf-8", "replace"))
