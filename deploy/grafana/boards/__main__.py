"""Write the dashboards' JSON: `python -m deploy.grafana.boards`; `--check` only tells what is out of date."""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.boards import dashboards

__all__ = ["files", "main"]

FOLDER = Path(__file__).resolve().parents[1] / "dashboards"


def files(folder: Path = FOLDER) -> dict[Path, str]:
    """Return what the folder of dashboards should hold."""
    return {
        folder / f"{dashboard.uid}.json": json.dumps(dashboard, cls=JSONEncoder, indent=2) + "\n"
        for dashboard in dashboards()
    }


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """Rewrite, or with `--check` report, the files that are not as they should be; 1 if one was reported."""
    wanted = files(folder)
    left = set(folder.glob("*.json")) - set(wanted)
    stale = {path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text}
    for path in sorted(stale | left):
        name = path.relative_to(folder.parents[2])
        if "--check" in arguments:
            sys.stderr.write(f"{name} is out of date; run: make docs\n")
        elif path in left:
            path.unlink()
            sys.stdout.write(f"{name} removed\n")
        else:
            path.write_text(wanted[path], encoding="utf-8")
            sys.stdout.write(f"{name} rewritten\n")
    return 1 if "--check" in arguments and stale | left else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
