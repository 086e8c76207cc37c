"""Floor 1: what a node asks of a chain. Consensus itself is not Obscura's business (design §8)."""

from ..base.names import HEADER_BYTES
from .ledger import (
    BlockOutcome,
    BlockReport,
    BlockVerdict,
    HeaderInfo,
    HeaderReport,
    InvalidBlock,
    InvalidHeader,
    Ledger,
    Refusal,
    Restored,
    RestoredHeader,
    TransactionLedger,
    relaying,
    up_to,
)
from .transactions import Candidate, CoinReport, InvalidTransaction, OutPoint, TxInfo, TxOutcome, TxVerdict

__all__ = [
    "HEADER_BYTES",
    "BlockOutcome",
    "BlockReport",
    "BlockVerdict",
    "HeaderInfo",
    "HeaderReport",
    "InvalidBlock",
    "InvalidHeader",
    "Ledger",
    "Refusal",
    "Restored",
    "RestoredHeader",
    "up_to",
    "Candidate",
    "CoinReport",
    "InvalidTransaction",
    "OutPoint",
    "TransactionLedger",
    "TxInfo",
    "TxOutcome",
    "TxVerdict",
    "relaying",
]
