"""Olmix and regmixer YAML (allenai/olmix, allenai/regmixer): sources, topics, quality bins, and their weights.

A launch file has a `mix`: it is carried as written. A file that only describes a swarm of mixtures is carried as the
centre of that swarm: `manual_prior` or topic weights where there are some, else shares by token count with the
temperature as exponent. `repetition_factor` is the most epochs of a source in both languages; below one it is one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.errors import InvalidInputError
from proxy.importers.job import Job, require_positive, valid_name
from proxy.importers.reading import read_list, read_mapping, read_number, read_text, step_into
from proxy.importers.report import Kind

_SWARM = (Kind.MEANING, "says how mixtures are drawn around the prior; a recipe is one mixture")
_MACHINES = (Kind.BOOKKEEPING, "says where training runs")
_TRAINING = (Kind.TRAINING, "the protocol says what is trained, and how long")
_SIZES = (Kind.BOOKKEEPING, "sizes are counted on the corpora registered here")
OTHER_FIELDS = {
    **dict.fromkeys(
        "variants min_strength max_strength min_source_strength max_source_strength min_topic_strength "
        "max_topic_strength minimum_weight minimum_source_weight minimum_topic_weight nonzero_weight sample_multiplier "
        "fixed_source_weights existing_mix_file".split(),
        _SWARM,
    ),
    **dict.fromkeys(
        "budget workspace cluster priority nodes gpus weka preemptible device_batch_size infra".split(), _MACHINES
    ),
    **dict.fromkeys(
        "proxy_model_id tokenizer sequence_length seed dtype train_type checkpoint_path training max_tokens "
        "global_batch_size".split(),
        _TRAINING,
    ),
    "eval": (Kind.EVALUATION, "held-out data and tasks belong to the suite"),
    "priors": _SIZES,
    "token_counts": _SIZES,
    "constraints": (Kind.MEANING, "bounds a search for mixtures"),
    "filtering": (Kind.EVALUATION, "weighs tasks"),
}
_TEMPERATURES = ("mix_temperature", "temperature")
_MIX_FIELDS = ("weight", "repetition_factor")
_CHILDREN = ("topics", "quality")
_PLACE = (Kind.LOCATION, "register a corpus from these files")


@dataclass(kw_only=True)
class Node:
    """A source, a topic or a quality bin. `path` joins the names from the root with colons, as their tools do."""

    name: str
    path: str
    pointer: str
    weight: float | None = None
    factor: float = 1.0
    children: list["Node"] = field(default_factory=list)


def looks_like_olmix(content: Any) -> bool:
    """Named sources under `data` or at the top, or a mix."""
    if not isinstance(content, dict):
        return False
    data = content.get("data")
    nested = data.get("sources") if isinstance(data, dict) else None
    top = [] if "uuid" in content else content.get("sources")
    sources = nested if nested is not None else top
    is_named = isinstance(sources, list) and any(
        isinstance(one, dict) and {"name", "domain"} & one.keys() for one in sources
    )
    return is_named or isinstance(content.get("mix"), dict)


def read_olmix(job: Job) -> list[dict[str, Any]]:
    """One recipe: the mix, or the centre of the swarm."""
    content = read_mapping("", job.content)
    inside = isinstance(content.get("data"), dict)
    where, holder = ("/data", content["data"]) if inside else ("", content)
    trees = list(_read_sources(job, f"{where}/sources", holder.get("sources"))) if "sources" in holder else []
    if isinstance(content.get("swarm"), dict):
        job.lose_known(OTHER_FIELDS, content["swarm"], "/swarm")
    job.lose_known(OTHER_FIELDS, content)
    _carry_words(job, content)
    if "mix" in content:
        trees = _read_mix(job, content, trees)
        exponents: tuple[float | None, float | None] = (None, None)
    else:
        exponents = _centre(job, content, trees)
    if not trees:
        raise InvalidInputError.at(
            f"{where}/sources", holder.get("sources"), "is missing; there are neither sources nor a mix"
        )
    sources, exponent = _as_members(job, trees, "/mix" if "mix" in content else f"{where}/sources", *exponents)
    recipe: dict[str, Any] = {"name": job.recipe_name(content.get("name"), "olmix"), "sources": sources}
    if isinstance(content.get("description"), str):
        recipe["description"] = content["description"]
    return [recipe | ({} if exponent is None else {"size_exponent": exponent})]


def _carry_words(job: Job, content: Mapping[str, Any]) -> None:
    job.carry(*(f"/{key}" for key in ("name", "description") if isinstance(content.get(key), str)))


def _read_sources(job: Job, where: str, sources: Any, parent: str = "") -> Iterator[Node]:
    for index, one in enumerate(read_list(where, sources)):
        pointer = f"{where}/{index}"
        entry = read_mapping(pointer, one)
        key = "name" if "name" in entry else "domain"
        name = read_text(f"{pointer}/{key}", entry.get(key))
        job.carry(f"{pointer}/{key}")
        node = Node(name=name, path=f"{parent}{name}", pointer=f"{pointer}/{key}")
        if "weight" in entry:
            node.weight = job.weight(f"{pointer}/weight", entry["weight"])
        for factor in ("max_repetition_factor", "repetition_factor"):
            if factor in entry:
                node.factor = _factor(job, f"{pointer}/{factor}", entry[factor])
        job.lose_known({"paths": _PLACE}, entry, pointer)
        for children in _CHILDREN:
            if children in entry:
                node.children += _read_sources(job, f"{pointer}/{children}", entry[children], f"{node.path}:")
        yield node


def _factor(job: Job, pointer: str, value: Any) -> float:
    factor = read_number(pointer, value)
    if not 0 <= factor <= 1000:
        raise InvalidInputError.at(pointer, value, "is no number of epochs from 0 to 1000")
    job.carry(pointer)
    if factor < 1:
        job.differ(pointer, value, "less than one epoch is allowed there; one is here")
    return max(1.0, factor)


def _read_mix(job: Job, content: Mapping[str, Any], known: list[Node]) -> list[Node]:
    """The mix as a tree; sources that it does not name are not drawn from."""
    mix = read_mapping("/mix", content["mix"])
    nodes = [_mix_node(job, step_into("/mix", name), name, name, value, 1.0) for name, value in mix.items()]
    named = {node.path for top in nodes for node in _walk(top)}
    for top in known:
        for node in _walk(top):
            if not node.children and node.path not in named:
                job.lose(node.pointer, node.path, Kind.MEANING, "has no weight in the mix, so nothing is drawn from it")
            elif node.weight is not None:
                job.differ(node.pointer, node.weight, "its weight beside the mix does not count")
    return nodes


def _mix_node(job: Job, pointer: str, name: str, path: str, value: Any, inherited: float) -> Node:
    """A number is a weight; below a mapping's weight and factor are its children."""
    if not isinstance(value, dict):
        return Node(name=name, path=path, pointer=pointer, weight=job.weight(pointer, value), factor=inherited)
    read_mapping(pointer, value)
    weight = job.weight(f"{pointer}/weight", value["weight"]) if "weight" in value else 1.0
    factor = (
        _factor(job, f"{pointer}/repetition_factor", value["repetition_factor"])
        if "repetition_factor" in value
        else inherited
    )
    children = [
        _mix_node(job, step_into(pointer, key), key, f"{path}:{key}", part, factor)
        for key, part in value.items()
        if key not in _MIX_FIELDS
    ]
    return Node(name=name, path=path, pointer=pointer, weight=weight, factor=factor, children=children)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _centre(job: Job, content: Mapping[str, Any], trees: list[Node]) -> tuple[float, float]:
    """Exponents of sources and of topics; the prior's weights go into the tree."""
    swarm = content.get("swarm")
    where, holder = ("/swarm", swarm) if isinstance(swarm, dict) else ("", content)
    sources = _temperature(job, where, holder, ("source_mix_temperature", "source_temperature", *_TEMPERATURES))
    topics = _temperature(job, where, holder, ("topic_mix_temperature", "topic_temperature", *_TEMPERATURES))
    for key in ("manual_prior", "manual_topic_prior"):
        if holder.get(key) is not None:
            _take_prior(job, f"{where}/{key}", read_mapping(f"{where}/{key}", holder[key]), trees)
    if "allow_repetition" in holder:
        reason = "here each source has its own most epochs"
        job.lose(f"{where}/allow_repetition", holder["allow_repetition"], Kind.MEANING, reason)
    if {"variants", "swarm"} & content.keys():
        job.differ("", content.get("name"), "a swarm of mixtures is carried as its centre alone")
    return sources, topics


def _temperature(job: Job, where: str, holder: Mapping[str, Any], names: tuple[str, ...]) -> float:
    """The first that is given; above one it has no effect there."""
    for name in names:
        if holder.get(name) is not None:
            value = read_number(f"{where}/{name}", holder[name])
            if value < 0:
                raise InvalidInputError.at(f"{where}/{name}", holder[name], "a temperature is not negative")
            job.carry(f"{where}/{name}")
            return min(1.0, value)
    return 1.0


def _take_prior(job: Job, where: str, prior: Mapping[str, Any], trees: list[Node]) -> None:
    nodes = {node.path: node for top in trees for node in _walk(top)}
    for path, weight in prior.items():
        place = step_into(where, path)
        if path in nodes:
            nodes[path].weight = job.weight(place, weight)
        else:
            job.lose(place, weight, Kind.UNKNOWN, "is no source of this file")


def _as_members(
    job: Job, nodes: list[Node], where: str, exponent: float | None, below: float | None
) -> tuple[list[dict[str, Any]], float | None]:
    """Members and the size exponent of their level: none where every one has a weight."""
    weights = [node.weight for node in nodes if node.weight is not None]
    if len(weights) == len(nodes):
        require_positive(where, weights)
        if exponent not in (None, 1.0):
            job.differ(where, exponent, "weights that are written count as they are, without the temperature")
        exponent = None
    elif weights:
        job.differ(where, weights, "some members have no weight, so that shares go by token count, times the weights")
        require_positive(where, [1.0 if node.weight is None else node.weight for node in nodes])
    return [_as_member(job, node, below) for node in nodes], exponent


def _as_member(job: Job, node: Node, below: float | None) -> dict[str, Any]:
    weight = {} if node.weight is None else {"weight": node.weight}
    if not node.children:
        epochs = {"max_epochs": node.factor} if node.factor > 1 else {}
        return {"corpus": job.corpus(node.pointer, node.path), **weight, **epochs}
    members, exponent = _as_members(job, node.children, node.pointer, below, below)
    size = {} if exponent is None else {"size_exponent": exponent}
    return {"name": valid_name(node.name), **weight, **size, "sources": members}
