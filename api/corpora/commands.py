"""`foretaste corpus …` and `foretaste job …`: sources of documents, and the long work on them."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from api.client import Resource
from api.connection import KeyOption, UrlOption, connect, console, print_json
from api.progress import describe_reading
from proxy.data.files import is_url

PURGE_SECONDS = 600  # a store of many terabytes is unlinked file by file

corpus = typer.Typer(no_args_is_help=True, help="Registered sources of documents.")
job = typer.Typer(no_args_is_help=True, help="Long work that is not training.")


@corpus.command("add")
def add_corpus(
    name: str,
    uri: Annotated[str, typer.Argument(help="File, folder, glob or URL: .jsonl, .jsonl.gz, .jsonl.zst, .parquet")],
    text_field: Annotated[str, typer.Option(help="Field that holds the text.")] = "text",
    field: Annotated[list[str] | None, typer.Option(help="Another field to keep; repeatable.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Register a corpus and wait until it is counted."""
    with connect(url, key) as client:
        place = uri if is_url(uri) else str(Path(uri).absolute())
        body = {"name": name, "uri": place, "text_field": text_field, "fields": field or []}
        row = client.wait(f"/v1/corpora/{client.post('/v1/corpora', body)['id']}")
    require_finished(row)
    console.print(f"{row['name']}@{row['revision']}: {row['documents']:,} documents, fingerprint {row['fingerprint']}")


def require_finished(row: Resource) -> None:
    """Somebody may cancel what is waited for."""
    if row["state"] != "finished":
        console.print(f"{row['id']}: {row['state']}")
        raise typer.Exit(1)


@corpus.command("tokenise")
def tokenise_corpus(
    name: str,
    tokenizer: Annotated[str, typer.Argument(help="Name, fingerprint or id.")],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Make a corpus's tokens ahead of the first training, and watch it."""
    with connect(url, key) as client, console.status("waiting for a worker") as status:
        job = client.post(f"/v1/corpora/{quote(name, safe='')}:tokenise", {"tokenizer": tokenizer})

        def show(row: Resource) -> None:
            if (now := row["progress"]).get("documents") is not None:
                status.update(describe_reading(now))

        done = client.wait(f"/v1/jobs/{job['id']}", seen=show)
    require_finished(done)
    console.print(f"{name}: {done['result']['documents']:,} documents, {done['result']['tokens']:,} tokens")


@corpus.command("import-tokens")
def import_tokens(
    name: str,
    tokens: Annotated[Path, typer.Argument(help="A flat .npy, or raw little-endian integers (.bin).")],
    tokenizer: Annotated[str, typer.Argument(help="What made them: name, fingerprint or id.")],
    offsets: Annotated[Path | None, typer.Option(help=".npy of positions; else an end of text ends each.")] = None,
    dtype: Annotated[str | None, typer.Option(help="uint16 or uint32; by default what the tokenizer needs.")] = None,
    text_bytes: Annotated[str | None, typer.Option(help=".npy of bytes a document, or: decode.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Register tokens that another tool made, and say what such a corpus cannot do."""
    sizes = str(Path(text_bytes).absolute()) if text_bytes not in (None, "decode") else text_bytes
    body = {"name": name, "tokens": str(tokens.absolute()), "tokenizer": tokenizer, "dtype": dtype, "text_bytes": sizes}
    body["offsets"] = None if offsets is None else str(offsets.absolute())
    with connect(url, key) as client:
        row = client.wait(f"/v1/corpora/{client.post('/v1/corpora:import-tokens', body)['id']}")
    require_finished(row)
    console.print(f"{row['name']}@{row['revision']}: {row['documents']:,} documents, {row['tokens']:,} tokens")
    for sentence in row["lost"]:
        console.print(f"lost: {sentence}", markup=False)


@corpus.command("retire")
def retire_corpus(
    name: Annotated[str, typer.Argument(help="All revisions of a name; NAME@REVISION, fingerprint or id: that one.")],
    reason: Annotated[str, typer.Option(help="Licence, takedown notice, …: shown with every result.")],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Purge a corpus's copies and tokens for good; results stay and say so, and your own files are not touched."""
    with connect(url, key) as client:
        path = f"/v1/corpora/{quote(name, safe='')}"
        found = client.request("DELETE", path, params={"reason": reason}, timeout=PURGE_SECONDS).json()
    rows = ", ".join(f"{row['name']}@{row['revision']}" for row in found["corpora"])
    console.print(f"{rows}: retired, {found['purged_files']:,} files purged", markup=False)
    if failed := len(found["failed_runs"]) + len(found["failed_jobs"]):
        console.print(f"{failed} unfinished runs and jobs needed it and failed")
    for note in found["notes"]:
        console.print(note, markup=False)


@job.command("show")
def show_job(job: str, url: UrlOption = None) -> None:
    """Show a job, its progress and what came of it."""
    with connect(url, None) as client:
        print_json(client.get(f"/v1/jobs/{quote(job, safe='')}"))


@job.command("cancel")
def cancel_job(job: str, url: UrlOption = None, key: KeyOption = None) -> None:
    """Cancel a job that waits or runs, with its parts."""
    with connect(url, key) as client:
        row = client.request("DELETE", f"/v1/jobs/{quote(job, safe='')}").json()
    console.print(f"{row['id']}: {row['state']}")
