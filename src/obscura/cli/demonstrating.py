"""Demo payments on regtest, so that `obscura send` can be tried. Not a wallet: whoever knows the seed has the key."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from ..base.errors import ConfigError

app = typer.Typer(
    help="Demo payments on regtest, to try `obscura send`. Not a wallet: the keys are everybody's.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
SeedOption = Annotated[str, typer.Option(help="Any text; the key follows from it.")]
_COIN = re.compile(r"([0-9a-fA-F]{64}):([0-9]{1,9})")
_MONEY = 21_000_000 * 100_000_000


@app.command()
def script(seed: SeedOption = "demo") -> None:
    """Print the output script of a demo key, for `obscura mine --to`.

    Example: obscura mine --datadir a --to $(obscura demo script)
    """
    from ..demo.signer import DemoKey  # noqa: PLC0415 half of a second, for one command

    typer.echo(DemoKey(seed).script.hex())


@app.command()
def pay(
    coin: Annotated[str, typer.Argument(metavar="ID:INDEX", help="The output to be spent; it must be the demo key's.")],
    amount: Annotated[int, typer.Argument(help="Its satoshis.", min=1, max=_MONEY)],
    fee: Annotated[int, typer.Option(help="What the miner gets, in satoshis.", min=0)] = 1_000,
    to: Annotated[str, typer.Option(help="Another demo key, by its seed; default: the same.")] = "",
    seed: SeedOption = "demo",
) -> None:
    """Sign a payment of a demo key, and print it in hexadecimal, for `obscura send`.

    Example: obscura demo pay 4a5e…:0 5000000000 | obscura send --datadir a -
    """
    from ..demo.signer import DemoCoin, DemoKey  # noqa: PLC0415

    found = _COIN.fullmatch(coin)
    if found is None or int(found[2]) > 0xFFFF_FFFF:
        raise ConfigError(f"{coin!r} names no output: the 64 hexadecimal digits of an id, a colon, a number")
    if fee >= amount:
        raise ConfigError(f"a fee of {fee} leaves nothing of {amount} satoshis")
    spent = DemoCoin(bytes.fromhex(found[1])[::-1], int(found[2]), amount)
    payment = DemoKey(seed).pay([spent], [(amount - fee, DemoKey(to or seed).script)])
    typer.echo(payment.data.hex())
