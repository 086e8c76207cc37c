"""Mining on regtest."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..app.alone import mine_alone
from ..app.compose import network_of
from ..base.errors import ConfigError
from ..control.client import LostNodeError, NoNodeError, RefusedError, ask
from ..control.server import RequestError
from .options import DEFAULT_DATADIR, DatadirOption, JsonOption


def mine(
    count: Annotated[int, typer.Option("-n", "--count", help="How many blocks.")] = 1,
    to: Annotated[str, typer.Option(help="Output script in hexadecimal; default: anyone can spend.")] = "",
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Mine blocks on regtest, through the running node, or on the datadir when none runs.

    Example: obscura mine --datadir a -n 101
    """
    values = {"count": count, "to": to}
    try:
        answer = ask(datadir, "mine", values, timeout_s=600)
    except LostNodeError:
        # It may have mined some of them: to mine anew, here and now, would be more than was asked for.
        raise
    except NoNodeError:
        network = network_of(datadir)
        if network is None:
            msg = f"{datadir} holds no node: start one with obscura node --network regtest --datadir {datadir}"
            raise ConfigError(msg) from None
        try:
            answer = mine_alone(datadir, network, values)
        except RequestError as error:
            raise ConfigError(error.text) from error
    except RefusedError as error:
        if error.code == "failed":
            raise
        raise ConfigError(str(error)) from error
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        held = f" with {answer['transactions']} transactions" if answer["transactions"] else ""
        typer.echo(f"mined {answer['mined']}{held}, height {answer['height']}, tip {answer['tip']}")
        typer.echo(f"the last one pays {answer['reward']} satoshis as {answer['coinbase']}:0")
