"""`semcom profile`: what a profile is made of, what of it is missing on this machine, and how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semcom.cli.errors import one_line_errors

if TYPE_CHECKING:
    from semcom.latent.spec import LatentSpec
    from semcom.profile import Profile

profile_app = typer.Typer(help="Profiles: list, show, check, download, export.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of a shipped profile, or a folder.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="NAME=VALUE, such as models.unet=FOLDER; repeatable.")
]
MISSING = 3
"""Exit code of `check` where something that the profile needs is not here."""


@profile_app.command("list")
def list_profiles() -> None:
    """Name every shipped profile, and whether it is ready to use."""
    from semcom.profile import shipped

    with one_line_errors():
        for name in shipped():
            missing = [
                row.split("  ")[0] for row, here, needed in _rows(_opened(name)) if needed and not here
            ]
            state = f"needs {', '.join(missing)}: semcom profile check {name}" if missing else "ready"
            typer.echo(f"{name:<12} {state}")


@profile_app.command()
def show(name: Name = "tiny", settings: Settings = None) -> None:
    """Show what a profile consists of."""
    import yaml

    with one_line_errors():
        profile = _opened(name, settings)
        typer.echo(f"profile {profile.name}")
        for part in profile.parts:
            typer.echo(f"  {part:<24} {profile.size(part) / 1e6:9.2f} million values")
        if profile.latent is not None:
            plain = profile.latent.model_dump(mode="json", exclude_unset=True)
            typer.echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).rstrip())


@profile_app.command()
def check(name: Name = "tiny", settings: Settings = None) -> None:
    """Say what of a profile is here, what is missing and what gets it; exit code 3 where it cannot be used.

    Opens no connection. What is here is checked: checksums where they are known, and that it fits together.
    """
    with one_line_errors():
        profile = _opened(name, settings)
        missing = False
        for row, here, needed in _rows(profile):
            typer.echo(row)
            missing |= needed and not here
        if profile.latent is not None and not missing:
            from semcom.latent.loading import located

            located(profile.name, profile.latent)
    if missing:
        typer.echo(
            f"{profile.name} cannot be used yet. Everything from the hub: semcom profile download {name}"
        )
        typer.echo(
            "Or what you have: --set models.unet=FOLDER; a mirror: --set models.unet=OWNER/NAME/unet@COMMIT"
        )
        raise typer.Exit(MISSING)
    typer.echo(f"{profile.name} is ready")


@profile_app.command()
def download(name: Name, settings: Settings = None) -> None:
    """Fetch what is missing from the hub, safetensors only, and pin what came."""
    with one_line_errors():
        profile = _opened(name, settings)
        from semcom.latent.download import download as fetch

        fetch(profile.name, _published(profile), lambda text: typer.echo(text, err=True))
    check(name, settings)


@profile_app.command()
def export(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Empty or new.")],
    settings: Settings = None,
) -> None:
    """Write a profile with published models as a folder that needs no hub, with checksums."""
    with one_line_errors():
        profile = _opened(name, settings)
        from semcom.latent.download import export as write

        write(profile.name, _published(profile), folder, lambda text: typer.echo(text, err=True))
        profile.copy_own_parts(folder)
    typer.echo(f"semcom send PHOTO --profile {folder}")


def _opened(name: str, settings: list[str] | None = None) -> Profile:
    from semcom.profile import Profile

    return Profile.open(name, settings or ())


def _published(profile: Profile) -> LatentSpec:
    if profile.latent is None:
        raise ValueError(f"profile {profile.name} has no published models: all of it is in its folder")
    return profile.latent


def _rows(profile: Profile) -> Iterator[tuple[str, bool, bool]]:
    """A line for each component, whether it is here, and whether the profile needs it."""
    if profile.latent is None:
        yield f"{len(profile.parts)} parts, checksums right", True, True
        return
    from semcom.latent import sources
    from semcom.latent.spec import REQUIRED

    lock = sources.locked(profile.name)
    for name, source in sources.components(profile.latent):
        needed = name in REQUIRED
        if source is None:
            yield f"{name:<13} MISSING  no source  --set models.{name}=FOLDER", False, needed
            continue
        found = sources.locate(profile.name, name, source)
        if isinstance(found, sources.Absent):
            size = "" if source.megabytes is None else f"{source.megabytes:g} MB, "
            instead = "" if needed else " (optional: the base's is used)"
            text = f"{name:<13} {'MISSING' if needed else 'absent':<8} {source.place}{instead}"
            yield f"{text}\n{'':14}{size}{source.licence}; {found.reason}: {found.command}", False, needed
            continue
        known = source.sha256 or lock.get(name, {}).get("sha256", {})
        damaged = list(sources.mismatches(found, known))
        sums = f"DAMAGED {damaged[0]}" if damaged else "checksums right" if known else "no checksums known"
        text = (
            f"{name:<13} {'here':<8} {source.place}\n{'':14}{found.num_bytes / 1e6:.1f} MB, {source.licence}"
        )
        yield f"{text}; {sums}", not damaged, needed
