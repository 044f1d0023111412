"""The commands that train: ``attention-limits sweep | records``."""

import difflib
import inspect
import os
import pkgutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attention_limits.companion.pages import Page, all_pages
from attention_limits.companion.terminal import PROFILE_HELP, bad_input, find_book, parse_parameter, print_table, shown
from attention_limits.runtime import STORE_VARIABLE

if TYPE_CHECKING:
    from attention_limits.experiments.sweeps import Sweep


def sweep(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A page that trains; none: list them.")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="AXIS=VALUES", help="Change an axis of the grid; may be repeated."),
    ] = None,
    profile: Annotated[str, typer.Option(help=PROFILE_HELP)] = "book",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", help="Processes; 0: one for each accelerator or core.")
    ] = 0,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Read what is in the store, or compute all of it again.")
    ] = True,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N; default: CUDA if there is one.")] = None,
) -> None:
    """Train the models of a page into the store. The page then only reads them; so does a sweep that is run again.

    Ctrl-C, a crash or a full disk loses at most what is being trained at that moment. The store is _build/store, or the
    folder that ATTENTION_LIMITS_STORE names.

    Example: attention-limits sweep PAGE -p sparsity_grid=[1,2] -j 2
    """
    root = find_book()
    trained = {page.name: page for page in all_pages(root) if page.facts.study}
    if name is None:
        print_table(("sweep", "axes"), [(page.name, ", ".join(_axes(_study(page)))) for page in trained.values()])
        return
    with bad_input():
        if jobs < 0:
            raise ValueError(f"jobs must be at least 0, got {jobs}")
        near = difflib.get_close_matches(name, trained, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the sweeps are {', '.join(trained)}"
        if name not in trained:
            raise ValueError(f"no sweep {name!r}: {hint}")
        values = trained[name].resolve(profile, dict(parse_parameter(text) for text in parameters or []))
        study = _study(trained[name])
    at_work = _at_work(root, jobs=jobs or None, scheduler=scheduler, fresh=not resume, device=device)
    start = time.perf_counter()
    _train(at_work, study, values)
    asked, seconds = len(at_work.asked), time.perf_counter() - start
    found = asked - at_work.computed - at_work.recorded
    typer.echo(
        f"{name}: {asked} trials, {found} from the store, {at_work.recorded} recorded, {at_work.computed} computed in "
        f"{seconds:.0f} s; the store: {shown(at_work.store.folder)}"
    )


def records(
    pages: Annotated[list[str] | None, typer.Argument(metavar="PAGE", help="Pages that train; default: all.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", help="Processes; 0: one for each core.")] = 0,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train what is recorded by today's code too.")] = False,
) -> None:
    """Train what the pages show and publish it. Results: records/PAGE.jsonl, a line each, with where it comes from.

    What today's code has recorded already is not trained again. The store keeps each result as soon as it is there, so
    that a run that was stopped goes on where it was, and a page's file is written when all of the page is there. Models
    are trained on CPUs: a GPU's random numbers are others.
    """
    root = find_book()
    trained = {page.name: page for page in all_pages(root) if page.facts.study}
    with bad_input():
        if jobs < 0:
            raise ValueError(f"jobs must be at least 0, got {jobs}")
        for name in pages or []:
            if name not in trained:
                raise ValueError(f"no page {name!r} that trains: the pages are {', '.join(trained)}")
        chosen = {name: trained[name] for name in pages or trained}
        studies = {name: (_study(page), page.resolve("book", {})) for name, page in chosen.items()}
    from attention_limits.experiments.records import Record, RecordError, Records, write_records

    with bad_input():
        try:
            published = Records(root / "records")
            hours = {name: sum(record.seconds for record in published.of_file(name)) / 3600 for name in studies}
        except RecordError as error:
            raise ValueError(error) from error
    known = ", ".join(f"{name} {spent:.2f}" for name, spent in hours.items() if spent)
    typer.echo(f"core hours, as recorded: {known or 'nothing is recorded yet'}; in all {sum(hours.values()):.2f}")
    for name, (study, values) in studies.items():
        start = time.perf_counter()
        at_work = _at_work(root, jobs=jobs or None, scheduler=scheduler, fresh=fresh, device="cpu", current=True)
        _train(at_work, study, values)
        published = Records(root / "records")  # a file of another page may have been written meanwhile
        current = Records(root / "records", of_today=True)
        own = []
        for trial in at_work.asked:
            if published.file_of(trial) in (None, name):
                record = None if fresh else current.get(trial)
                if record is None and (kept := at_work.store.find(trial)) is not None:
                    record = Record(trial, kept["result"], kept)
                own += [record] if record else []
        elsewhere = {record.origin["device"] for record in own} - {"cpu"}
        if elsewhere:
            typer.echo(f"error: the store has results of {name} from {', '.join(elsewhere)}: use --fresh", err=True)
            raise typer.Exit(1)
        target = root / "records" / f"{name}.jsonl"
        try:
            write_records(target, own)
            if not own:  # all of its trials lie in another page's file
                target.unlink()
        except OSError as error:
            typer.echo(f"error: {shown(root / 'records')} can't be written: {error.strerror}", err=True)
            raise typer.Exit(1) from error
        typer.echo(
            f"{name}: {len(own)} records, {at_work.computed} of them computed in {time.perf_counter() - start:.0f} s: "
            f"{shown(target) if own else 'its trials are recorded with other pages'}"
        )


def _study(page: Page) -> Callable[..., Any]:
    """The function that trains a page's models; importing it imports torch, which costs seconds."""
    with bad_input():
        try:
            return pkgutil.resolve_name(page.facts.study)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"page {page.name}: its study {page.facts.study!r} is not there: {error}") from error


def _at_work(root: Path, *, current: bool = False, **options: Any) -> "Sweep":
    """A sweep that is ready to work; with ``current`` it reads no records of other code."""
    from attention_limits.experiments.records import Records
    from attention_limits.experiments.store import Store, StoreError
    from attention_limits.experiments.sweeps import Sweep, SweepError

    store = Store(Path(os.environ.get(STORE_VARIABLE, root / "_build" / "store")))
    with bad_input():
        try:
            store.check_writable()
            at_work = Sweep(store, Records(root / "records", of_today=current), **options)
            at_work.check_scheduler()
        except (StoreError, SweepError) as error:
            raise ValueError(error) from error
    return at_work


def _train(at_work: "Sweep", study: Callable[..., Any], values: dict[str, Any]) -> None:
    """Let a study train; what was finished is kept, whatever happens."""
    from attention_limits.experiments.records import RecordError
    from attention_limits.experiments.store import StoreError
    from attention_limits.experiments.sweeps import SweepError

    try:
        study(at_work, **{axis: values[axis] for axis in _axes(study)})
    except (RecordError, StoreError, SweepError) as error:
        typer.echo(f"error: {error}. {at_work.computed} trials were computed and kept: run it again to go on", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo(f"{at_work.computed} trials were computed and kept: run it again to go on", err=True)
        raise


def _axes(study: Callable[..., Any]) -> list[str]:
    """The parameters of a study: all of its arguments but the first, which computes trials."""
    return list(inspect.signature(study).parameters)[1:]
