"""What a profile with a latent-diffusion generator consists of: its `profile.yaml`.

    base: tiny                      # transmitter, tables and first picture are of this profile
    prediction: epsilon             # what the UNet was trained to predict
    models:
      unet: {hub: stabilityai/sd-turbo, revision: b261bac…, subfolder: unet}
      vae: ./my_autoencoder         # a folder, relative to the profile's
    lora: [{path: ./lora/channel, weight: 0.8}]

A folder in the layout of a diffusers pipeline (`model_index.json`, `unet/`, `vae/`, …) without a profile.yaml
is a profile as well, with every default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from semcom.receiver.precision import Quantization

FILE, PIPELINE = "profile.yaml", "model_index.json"
Component = Literal[
    "unet", "vae", "text_encoder", "tokenizer", "scheduler", "controlnet", "segmenter", "captioner"
]
REQUIRED: tuple[Component, ...] = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
OPTIONAL: tuple[Component, ...] = ("controlnet", "segmenter", "captioner")


class SpecError(ValueError):
    """A profile.yaml or an override that cannot be used; names the field and what is allowed."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(_Model):
    """Where a component lies: a local path, or a place on the hub at a revision.

    Attributes:
        path: folder or file; a relative one is in the profile's folder.
        hub: id of a repository.
        revision: commit of it; without one the commit that `semcom profile download` got is used.
        subfolder: in the repository, or in `path`.
        variant: of the weights' files, such as `fp16`.
        file: the only file that is needed, where not all of the folder is.
        url: where a file is published that is on no hub.
        megabytes: about what a download takes.
        licence: of the weights.
        sha256: of files by name; checked before they are loaded.
    """

    path: Path | None = None
    hub: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str | None = Field(default=None, pattern=r"^[\w./-]+$")
    subfolder: str = ""
    variant: str | None = None
    file: str | None = None
    url: str | None = None
    megabytes: float | None = Field(default=None, gt=0)
    licence: str = "not stated"
    sha256: dict[str, str] = {}

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.hub is None and self.url is None):
            raise ValueError("give either path, or hub (or url)")
        inside = Path(self.subfolder)
        if inside.is_absolute() or ".." in inside.parts:
            raise ValueError(f"subfolder {self.subfolder!r} leads out of its folder")
        return self

    @property
    def place(self) -> str:
        """For people."""
        if self.path is not None:
            return str(self.path / self.subfolder)
        if self.hub is None:
            return str(self.url)
        return f"{self.hub}/{self.subfolder}".rstrip("/") + f"@{self.revision or 'unpinned'}"


def _to_source(value: Any) -> Any:
    """From the short form: a path, or `owner/name[/subfolder]@revision`."""
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    name, at, revision = text.partition("@")
    if not at:
        return {"path": text}
    owner, _, rest = name.partition("/")
    repository, _, subfolder = rest.partition("/")
    return {"hub": f"{owner}/{repository}", "revision": revision, "subfolder": subfolder}


AnySource = Annotated[Source, BeforeValidator(_to_source)]


class Lora(_Model):
    """An adapter of the UNet in the format of diffusers or PEFT.

    Attributes:
        path: safetensors file, or the folder it is in.
        weight: of what it adds.
        name: by which it is unloaded; that of the file or folder if left out.
    """

    path: Path
    weight: float = 1.0
    name: str | None = None

    @property
    def label(self) -> str:
        """Its name; PEFT allows no dots in one."""
        return (self.name or self.path.stem).replace(".", "_")


class Strength(_Model):
    """How much noise the generator starts from, as a share of the schedule.

    Attributes:
        finest: where an HCI of the highest quality arrived.
        coarsest: where one of the lowest did, or one of reduced size.
        blind: where no HCI arrived.
    """

    finest: float = Field(default=0.15, gt=0, le=1)
    coarsest: float = Field(default=0.5, gt=0, le=1)
    blind: float = Field(default=1.0, gt=0, le=1)


class LatentSpec(_Model):
    """See the module docstring.

    Attributes:
        base: profile that transmitter, tables and first picture come from.
        models: where the components are.
        prediction: of the UNet; by default what the scheduler says.
        levels: time steps that a distilled UNet was trained at; any where empty.
        steps: of the generator where the options leave them at 1.
        guidance_scale: classifier-free guidance (arXiv 2207.12598); 1 is none, and half the time.
        negative_prompt: of that guidance.
        start: the enhancer's picture or the HCI itself, scaled up.
        strength: see `Strength`.
        trust: share of the start that remains in cells whose key latents arrived.
        precision: of the UNet and the text encoder where the option says `auto`.
        device_map: of accelerate, for more than one GPU.
        lora: adapters, applied together.
        merge_lora: into the weights, which is faster; without it they can be unloaded.
    """

    base: str = "tiny"
    models: dict[Component, AnySource]
    prediction: Literal["epsilon", "v_prediction", "sample"] | None = None
    levels: tuple[Annotated[int, Field(ge=0, le=999)], ...] = ()
    steps: int = Field(default=1, ge=1, le=50)
    guidance_scale: float = Field(default=1.0, ge=1, le=20)
    negative_prompt: str = ""
    start: Literal["enhancer", "hci"] = "enhancer"
    strength: Strength = Strength()
    trust: float = Field(default=0.5, ge=0, le=1)
    precision: Quantization = Quantization.AUTO
    device_map: Literal["auto", "balanced"] | None = None
    lora: tuple[Lora, ...] = ()
    merge_lora: bool = False


def is_latent(folder: Path) -> bool:
    """Whether a folder is a profile of this kind."""
    return any((folder / name).is_file() for name in (FILE, PIPELINE))


def read(folder: Path, overrides: Sequence[str] = ()) -> LatentSpec:
    """The specification of a profile's folder, every path absolute.

    Args:
        folder: with a profile.yaml or in the layout of a pipeline.
        overrides: `models.unet=PATH` and the like, the value as in YAML; those paths are the user's own.

    Raises:
        SpecError: names the file or the override.
    """
    from semcom.yaml_files import YamlError, parse
    from semcom.yaml_files import read as text_of

    tree: Any = {"models": {name: str(folder / name) for name in REQUIRED if (folder / name).is_dir()}}
    controlnet = folder / "controlnet"
    if controlnet.is_dir():
        tree["models"]["controlnet"] = str(controlnet)
    if (folder / FILE).is_file():
        try:
            tree, _ = parse(text_of(folder / FILE), folder / FILE)
        except YamlError as error:
            raise SpecError(str(error)) from error
    if not isinstance(tree, Mapping):
        raise SpecError(f"{folder / FILE}: not a mapping")
    spec = _validated(str(folder / FILE), tree)
    placed = _placed(spec, folder).model_dump(mode="json", exclude_unset=True)
    for text in overrides:
        placed = _assigned(placed, text)
    return _placed(_validated("--set", placed), Path.cwd()) if overrides else _placed(spec, folder)


def _validated(where: str, tree: Any) -> LatentSpec:
    models = tree.get("models")
    if isinstance(models, Mapping):  # an override by null takes a component away
        tree = {**tree, "models": {name: source for name, source in models.items() if source is not None}}
    try:
        return LatentSpec.model_validate(tree)
    except ValidationError as error:
        item = error.errors()[0]
        field = ".".join(str(part) for part in item["loc"])
        raise SpecError(f"{where}: {field}: {item['msg'].removeprefix('Value error, ')}") from error


def _placed(spec: LatentSpec, folder: Path) -> LatentSpec:
    """With relative paths taken from a folder."""
    models = {
        name: source if source.path is None else source.model_copy(update={"path": folder / source.path})
        for name, source in spec.models.items()
    }
    lora = tuple(each.model_copy(update={"path": folder / each.path}) for each in spec.lora)
    return spec.model_copy(update={"models": models, "lora": lora})


def _assigned(tree: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A copy with what `a.b=value` says."""
    from semcom.yaml_files import parse

    path, equals, value = text.partition("=")
    if not equals or not path:
        raise SpecError(f"--set {text!r}: is not NAME=VALUE, such as models.unet=FOLDER")
    keys = path.split(".")
    if keys[0] not in LatentSpec.model_fields:
        raise SpecError(f"--set {keys[0]}: no such field; there are {', '.join(LatentSpec.model_fields)}")
    try:
        plain, _ = parse(value, f"--set {path}")
    except ValueError as error:
        raise SpecError(str(error)) from error
    return _with(tree, keys, plain)


def _with(tree: Mapping[str, Any], keys: Sequence[str], value: Any) -> dict[str, Any]:
    first, *rest = keys
    if not rest:
        return {**tree, first: value}
    below = tree.get(first)
    return {**tree, first: _with(below if isinstance(below, Mapping) else {}, rest, value)}
