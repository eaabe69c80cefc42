"""Verdicts on the screen, as JSON, as CSV.

The table has counts by profile, which rules decided, and the worst clients; JSON and CSV have every client with every
number, and its limits and margins. CSV is written client by client, so a million of them need no second copy.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import numpy as np

from xip_core.cli.options import exit_code_of
from xip_core.client.results import PENDING
from xip_core.model.clients import client_ids
from xip_core.model.suitability import RULES, STATUS_SENTENCES, ClientStatus, Verdict, market_risk_class
from xip_core.risk.suitability import NO_RULE, limit_table

if TYPE_CHECKING:
    from rich.table import Table

    from xip_core.cli.suitability_inputs import SuitabilityInputs
    from xip_core.client.suitability_results import SuitabilityNumbers
    from xip_core.model.result import Run

VERDICTS = tuple(verdict.name for verdict in Verdict)
VERDICT_STYLES = {"SUITABLE": "green", "REVIEW": "yellow", "UNSUITABLE": "red"}
CSV_COLUMNS = ("client", "profile", "verdict", "binding_rule", "reason", "market_risk_class", *RULES)


class SuitabilityOutcome(NamedTuple):
    """A final run, its verdicts, what was asked, and why clients were given up."""

    run: Run
    numbers: SuitabilityNumbers
    inputs: SuitabilityInputs
    given_up: dict[int, str]

    @property
    def exit_code(self) -> int:
        return exit_code_of(self.run.state)

    def print(self, output: str, worst: int) -> None:
        match output:
            case "json":
                self._print_json()
            case "csv":
                _print_csv(self)
            case _:
                _print_table(self, worst)

    def reason(self, client: int) -> str:
        """Why a client has no numbers; "" where it has."""
        if self.numbers.verdict[client] == PENDING:
            return "the run ended before the client was judged"
        status = ClientStatus(int(self.numbers.client_status[client]))
        if status is ClientStatus.OK:
            return (
                "" if self.numbers.binding[client] < len(RULES) else self.given_up.get(client, "its tile was given up")
            )
        missing = int(self.numbers.missing[client])
        named = self.inputs.instruments[missing].id if missing >= 0 else ""
        return STATUS_SENTENCES[status].format(instrument=named)

    def verdict(self, client: int) -> str:
        code = int(self.numbers.verdict[client])
        return "PENDING" if code == PENDING else Verdict(code).name

    def binding(self, client: int) -> str:
        code = int(self.numbers.binding[client])
        return RULES[code] if code < len(RULES) else ""

    def _print_json(self) -> None:
        from xip_core.cli.data import print_json

        limits, reviews = limit_table(self.inputs.profiles)
        ids = client_ids(self.inputs.clients)
        print_json(
            {
                "run_id": self.run.run_id,
                "state": self.run.state.name.lower(),
                "profiles_note": self.inputs.profiles.note,
                "counts": counts(self),
                "clients": [self._record(client, name, limits, reviews) for client, name in enumerate(ids)],
                "instruments_without_number": _without_number(self),
            }
        )

    def _record(self, client: int, name: str, limits: np.ndarray, reviews: np.ndarray) -> dict[str, Any]:
        profile = int(self.inputs.clients.profile[client])
        values = self.numbers.numbers[client]
        rules = {
            rule: {
                "number": _told(values[at]),
                "review": _told(reviews[profile, at]),
                "limit": _told(limits[profile, at]),
                "margin": _told(limits[profile, at] - values[at]),
            }
            for at, rule in enumerate(RULES)
        }
        return {
            "client": name,
            "profile": self.inputs.profiles.profiles[profile].name,
            "verdict": self.verdict(client),
            "binding_rule": self.binding(client),
            "reason": self.reason(client),
            "market_risk_class": _risk_class(values),
            "rules": rules,
        }


def outcome_of(run: Run, numbers: SuitabilityNumbers, inputs: SuitabilityInputs) -> SuitabilityOutcome:
    begin = numbers.row_begin
    given_up = {cells.row - begin: cells.message for cells in numbers.quarantine if cells.row >= begin}
    return SuitabilityOutcome(run, numbers, inputs, given_up)


def counts(outcome: SuitabilityOutcome) -> dict[str, dict[str, int]]:
    """Clients by profile and verdict."""
    found = {}
    for number, profile in enumerate(outcome.inputs.profiles.profiles):
        verdicts = outcome.numbers.verdict[outcome.inputs.clients.profile == number]
        found[profile.name] = {name: int((verdicts == code).sum()) for code, name in enumerate(VERDICTS)}
    return found


def worst_clients(outcome: SuitabilityOutcome, count: int) -> list[int]:
    """Unsuitable before review; of one verdict those furthest beyond the limit of the rule that decided first."""
    numbers, (limits, _) = outcome.numbers, limit_table(outcome.inputs.profiles)
    of_client = limits[outcome.inputs.clients.profile]
    rule = np.where(numbers.binding < len(RULES), numbers.binding, 0)
    at = np.arange(len(rule))
    limit, number = of_client[at, rule], numbers.numbers[at, rule]
    margin = (limit - number) / np.where(limit > 0.0, limit, 1.0)
    margin = np.where(numbers.binding == NO_RULE, np.inf, margin)
    verdict = np.where(numbers.verdict == PENDING, 0, numbers.verdict).astype(int)
    order = np.lexsort((margin, -verdict))[:count]
    return [client for client in order.tolist() if verdict[client] > Verdict.SUITABLE]


def _print_csv(outcome: SuitabilityOutcome) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_csv_rows(outcome))


def _csv_rows(outcome: SuitabilityOutcome) -> Iterator[list[object]]:
    profiles = [profile.name for profile in outcome.inputs.profiles.profiles]
    for client, name in enumerate(client_ids(outcome.inputs.clients)):
        values = outcome.numbers.numbers[client]
        about = [name, profiles[outcome.inputs.clients.profile[client]], outcome.verdict(client)]
        about += [outcome.binding(client), outcome.reason(client), _risk_class(values)]
        yield [*about, *(_told(value) for value in values)]


def _print_table(outcome: SuitabilityOutcome, worst: int) -> None:
    from xip_core.cli.screen import console

    out = console()
    total = len(outcome.numbers.verdict)
    instruments = len(outcome.inputs.instruments)
    out.print(f"[bold]suitability[/]  {outcome.run.state.label}  {total:,} clients  {instruments:,} instruments")
    if outcome.inputs.profiles.note:
        out.print(f"limits: {outcome.inputs.profiles.note}", markup=False)
    out.print(_counts_table(outcome))
    out.print(_rules_table(outcome))
    chosen = worst_clients(outcome, worst)
    if chosen:
        out.print(_worst_table(outcome, chosen))
    for item in _without_number(outcome):
        click.echo(f"without a number: {item['id']}: {item['message']}")
    click.echo(f"run {outcome.run.run_id}; --output csv has every client and number")


def _table(title: str, *columns: str, right: int) -> Table:
    """With the last *right* columns right-aligned."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at >= len(columns) - right else "left")
    return table


def _counts_table(outcome: SuitabilityOutcome) -> Table:
    table = _table("clients", "profile", *VERDICTS, right=len(VERDICTS))
    for profile, found in counts(outcome).items():
        table.add_row(profile, *(f"{found[name]:,}" for name in VERDICTS))
    return table


def _rules_table(outcome: SuitabilityOutcome) -> Table:
    """Which rules decided, those with the most unsuitable clients first."""
    table = _table("rules that decided", "rule", "REVIEW", "UNSUITABLE", right=2)
    verdict, binding = outcome.numbers.verdict, outcome.numbers.binding
    lines = []
    for code, name in (*enumerate(RULES), (NO_RULE, "no number")):
        decided = verdict[binding == code]
        lines.append((name, int((decided == Verdict.REVIEW).sum()), int((decided == Verdict.UNSUITABLE).sum())))
    for name, review, unsuitable in sorted(lines, key=lambda line: (-line[2], -line[1])):
        if review or unsuitable:
            table.add_row(name, f"{review:,}", f"{unsuitable:,}")
    return table


def _worst_table(outcome: SuitabilityOutcome, clients: list[int]) -> Table:
    limits, _ = limit_table(outcome.inputs.profiles)
    ids = client_ids(outcome.inputs.clients)
    table = _table("worst clients", "client", "profile", "verdict", "rule", "number", "limit", "margin", right=3)
    for client in clients:
        profile, verdict = int(outcome.inputs.clients.profile[client]), outcome.verdict(client)
        name, rule = outcome.inputs.profiles.profiles[profile].name, outcome.binding(client)
        styled = f"[{VERDICT_STYLES[verdict]}]{verdict}[/]"
        if not rule:
            table.add_row(ids[client], name, styled, outcome.reason(client), "", "", "")
            continue
        at = RULES.index(rule)
        number, limit = float(outcome.numbers.numbers[client, at]), float(limits[profile, at])
        table.add_row(ids[client], name, styled, rule, f"{number:.4f}", f"{limit:.4f}", f"{limit - number:.4f}")
    return table


def _without_number(outcome: SuitabilityOutcome) -> list[dict[str, str]]:
    """Instruments of the quarantine list, each once."""
    found: dict[int, str] = {}
    for cells in outcome.numbers.quarantine:
        if 0 <= cells.row < len(outcome.inputs.instruments):
            found.setdefault(cells.row, cells.message)
    return [{"id": outcome.inputs.instruments[row].id, "message": message} for row, message in found.items()]


def _risk_class(values: np.ndarray) -> int | None:
    volatility = float(values[RULES.index("var_equivalent_volatility")])
    return None if math.isnan(volatility) else market_risk_class(volatility)


def _told(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
