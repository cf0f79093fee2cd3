"""``python -m tests.zoo``; see the package's docstring."""

from __future__ import annotations

import argparse
import dataclasses as dc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .packages import prepare

prepare()

if TYPE_CHECKING:
    from .catalog import Entry
    from .check import Row

ROWS = Path(__file__).parents[2] / "runs" / "zoo.jsonl"

BRIEF = (
    "library", "model", "verdict", "macs", "seconds", "total", "verdict_narrow", "macs_narrow", "verdict_tp", "detail",
    "detail_narrow",
)  # fmt: skip


def arguments() -> argparse.Namespace:
    from . import __doc__ as text

    parser = argparse.ArgumentParser(
        "python -m tests.zoo", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=["*/*"], help="models, as patterns of library/name or name")
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--groups", action="store_true", help="only find groups and try each on numbers")
    parser.add_argument("--here", action="store_true", help="in this process, errors shown in full")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--narrow-norms", action="store_true", help="once more, cut over norms too")
    parser.add_argument("--alone", action="store_true", help="without Torch-Pruning")
    parser.add_argument("--write", action="store_true", help="into benchmarks/results/")
    parser.add_argument(
        "--resume", action="store_true", help="go on after a run that was stopped: its rows are in runs/zoo.jsonl"
    )
    return parser.parse_args()


def main() -> None:
    options = arguments()
    from .catalog import find

    chosen = find(options.names)
    if not chosen:
        raise SystemExit(f"no model is called {' or '.join(options.names)}; --list tells what there is")
    if options.list:
        print(*chosen, sep="\n")
        return
    if options.groups:
        from . import groups

        groups.report(chosen, options.jobs)
        return
    if options.here:
        from . import preload  # noqa: F401
        from .check import check
        from .rival import rival

        for entry in chosen:
            row = check(entry, narrow_norms=options.narrow_norms)
            if not options.alone:
                rival(entry, row)
            tell(row)
        return
    from .run import each
    from .table import counts, write

    rows = known_rows(chosen) if options.resume else []
    left = [e for e in chosen if str(e) not in {f"{r.library}/{r.model}" for r in rows}]
    ROWS.parent.mkdir(exist_ok=True)
    with ROWS.open("a" if options.resume else "w", encoding="utf-8") as file:
        for row in each(left, options.jobs, narrow_norms=options.narrow_norms, against=not options.alone):
            rows.append(row)
            print(json.dumps(dc.asdict(row)), file=file, flush=True)
            tell(row, brief=len(chosen) > 3)
    order = [str(e) for e in chosen]
    rows.sort(key=lambda r: order.index(f"{r.library}/{r.model}"))
    print(counts(rows))
    if options.write:
        write(rows, seed=0, narrow_norms=options.narrow_norms)
    sys.exit(any("wrong" in (r.verdict, r.verdict_narrow) for r in rows))


def known_rows(chosen: list[Entry]) -> list[Row]:
    """Rows that an earlier run wrote, of the models that are asked for."""
    from .check import Row

    if not ROWS.exists():
        return []
    rows = [Row(**json.loads(line)) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    return [r for r in rows if f"{r.library}/{r.model}" in set(map(str, chosen))]


def tell(row: Row, brief: bool = False) -> None:
    known = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in dc.asdict(row).items()}
    if brief:
        print(
            *(
                known[k]
                for k in (
                    "library",
                    "model",
                    "verdict",
                    "macs",
                    "seconds",
                    "total",
                    "verdict_narrow",
                    "macs_narrow",
                    "verdict_tp",
                    "detail",
                    "detail_narrow",
                )
            ),
            flush=True,
        )
    else:
        print(*(f"{k:>12}: {v}" for k, v in known.items() if v not in ("", None)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
