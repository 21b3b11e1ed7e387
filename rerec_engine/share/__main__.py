"""Write the model card of a finished run, and publish its final model on the Hugging Face Hub if asked to.

    python -m rerec_engine.share RUN_DIR [--push-to-hub OWNER/NAME] [--private]

Uploads final/ and nothing else: no data, rollouts or checkpoints. Needs a token (`hf auth login`, or HF_TOKEN).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerec_engine.cli import SWITCH, Parser, run_command, waiting
from rerec_engine.errors import UserError


def push(folder: Path, name: str, private: bool) -> str:
    """Upload a directory as a model repository, made where there is none; returns its address. Raises UserError."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    api = HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Model and card")
    except LocalTokenNotFoundError:
        raise UserError("no token for the Hub: `hf auth login`, or set HF_TOKEN") from None
    except HFValidationError as error:
        raise UserError(f"--push-to-hub: {' '.join(str(error).split())}") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        why = {401: "the token is missing or not valid (`hf auth login`)", 403: "the token may not write there"}
        told = why.get(status, " ".join(str(error).split())[:300])
        raise UserError(f"the Hub refused {name} ({status}): {told}") from None
    except Exception as error:
        # The client library's own errors: which one it is changes with the version of huggingface_hub.
        if not isinstance(error, OSError) and type(error).__module__.split(".")[0] not in ("httpx", "httpx2"):
            raise
        raise UserError(f"the Hub at {api.endpoint} cannot be reached: {' '.join(str(error).split())}") from None
    return f"{api.endpoint}/{name}"


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(
        prog="share",
        usage="RUN_DIR [--push-to-hub OWNER/NAME] [--private]",
        description=(__doc__ or "").splitlines()[0],
        examples=("runs/demo", "runs/demo --push-to-hub OWNER/NAME --private"),
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help="a finished run")
    parser.add_argument("--push-to-hub", metavar="OWNER/NAME", help="model repository to upload final/ to")
    parser.add_argument("--private", **SWITCH, help="where the repository is made by this")
    args = parser.parse_args(argv)
    with waiting("loading the libraries"):
        from rerec_engine.share.card import HUB_NAME, write_card

    if args.push_to_hub is not None and not HUB_NAME.fullmatch(args.push_to_hub):
        raise UserError(f"--push-to-hub: expected OWNER/NAME, got {args.push_to_hub!r}")
    card = write_card(args.run)
    print(card)
    if args.push_to_hub is not None:
        files = sorted(file for file in card.parent.rglob("*") if file.is_file())
        for file in files:
            print(f"{file.stat().st_size / 1e6:10.2f} MB  {file.relative_to(card.parent)}")
        print(push(card.parent, args.push_to_hub, args.private))


if __name__ == "__main__":
    run_command(main)
