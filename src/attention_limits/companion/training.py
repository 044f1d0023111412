"""What a page's training consists of, how much of it recorded and how much done here, kept in the executed notebook."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the status page reads accounts without torch
    from attention_limits.experiments.replay import Replay
    from attention_limits.experiments.sweeps import Sweep
    from attention_limits.experiments.trials import Result, Trial

#: The output type under which it lies in the notebook.
MIME_TYPE = "application/vnd.attention-limits.training+json"


def replayed(sweep: "Sweep", trained: "Sequence[tuple[Trial, Result]]" = ()) -> "Replay":
    """Replay some of the records that ``sweep`` has been asked for, and say what was recorded, trained and replayed.

    See `experiments.replay.replay`. The account is printed, and kept in the cell's output for the status page.
    """
    from attention_limits.experiments.replay import replay

    found = replay(sweep, trained)
    records = [record for trial in sweep.asked if sweep.records and (record := sweep.records.get(trial))]
    again = found.table["why"] == "every run"
    _show(
        {
            "asked": len(sweep.asked),
            "recorded": len(records),
            "trained": len(sweep.asked) - len(records),
            "days": sorted({record.origin["finished"][:10] for record in records}),
            "processors": sorted({record.origin["processor"] for record in records}),
            "hours": round(sum(record.seconds for record in records) / 3600, 2),
            "other_code": sum(not record.of_today for record in records),
            "replayed": int(again.sum()),
            "sampled": int((~again).sum()),
            "alike": bool(found.table["alike"].all()),
            "disagreeing": found.disagreeing,
            "worst": found.worst,
            "problems": sweep.records.problems if sweep.records else [],
        }
    )
    return found


def accounts(notebook: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the trainings of an executed notebook consist of, in order."""
    return [
        dict(output["data"][MIME_TYPE])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if MIME_TYPE in output.get("data", {})
    ]


def describe(account: Mapping[str, Any]) -> str:
    """An account in a few sentences."""
    text = f"{account['asked']:,} trained models are shown here. "
    if not account["recorded"]:
        return text + "None of them is among the records that come with this book: all were trained on this machine."
    days = " to ".join(dict.fromkeys((account["days"][0], account["days"][-1])))
    text += (
        f"{account['recorded']:,} of them are recorded (trained {days} on {'; '.join(account['processors'])}, in "
        f"{account['hours']:g} core hours), {account['trained']:,} were trained on this machine. "
    )
    if account["other_code"]:
        text += (
            f"{account['other_code']:,} records were made by other code than today's; of these {account['sampled']:,} "
            "were sampled and trained again. "
        )
    as_made = "on the same kind of processor and in the same groups"
    where = as_made if account["alike"] else f"not {as_made}, so that sums are rounded otherwise"
    again = f"{account['replayed']:,} record{' was' if account['replayed'] == 1 else 's were'}"
    text += f"{again} trained again in this run, {where}: "
    verdict = f"{account['disagreeing']:,} disagree" if account["disagreeing"] else "all agree"
    text += f"{verdict}; the largest difference is {account['worst']:.2g} of what is allowed."
    return " ".join([text, *account["problems"]])


def _show(account: dict[str, Any]) -> None:
    from IPython import get_ipython
    from IPython.display import display

    line = describe(account)
    if get_ipython() is None:
        print(line)
        return
    display({MIME_TYPE: account, "text/markdown": line, "text/plain": line}, raw=True)
