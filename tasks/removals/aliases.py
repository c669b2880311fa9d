"""Which version of a registered model its aliases point to, by a stated policy.

    candidate   the newest version
    unlearned   the newest version whose verdict passed, for all removal requests in force on that model; where approval
                was asked for, once it was given

A version is considered once for each alias: a person who points an alias back to an earlier version is not overruled by
a run that makes nothing new. What else is known of a version stands in its tags.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tasks import store, tracking_registry
from tasks.artifacts import BadInputError
from tasks.removals.records import Removal, made_now
from tasks.removals.register import on_same_model
from tasks.removals.states import remark
from tasks.tracking_registry import Version

CANDIDATE, UNLEARNED = "candidate", "unlearned"
CONSIDERED = "lethe.considered"
"""Tag of a version: the aliases that it was considered for."""
VERDICT = "lethe.verdict"
"""Tag of a version: whether its verdict passed; with the id of a request behind it, whether that one's did."""
APPROVAL = "lethe.approval"
"""Tag of a version: `wanted`, or since when and by whom it is given."""
WANTED = "wanted"
PASSED, NOT_PASSED = "passed", "not passed"


def model_name(base: str) -> str:
    """Return what the registered model of all removal requests on a model is called; by the digest of its weights."""
    return f"lethe-{base[:8]}"


def in_words(passed: bool) -> str:
    """Return whether a verdict passed."""
    return PASSED if passed else NOT_PASSED


def verdict_tags(passed: bool, request: str = "") -> dict[str, str]:
    """Return the tags that say whether a verdict passed, of a run for a request or of another one."""
    return {f"{VERDICT}.{request}" if request else VERDICT: in_words(passed)}


def lacking(version: Version, requests: Collection[str]) -> list[str]:
    """Return the requests that a version has not passed for; without requests `verdict` where it has not passed."""
    if not requests:
        return [] if version.tags.get(VERDICT) == PASSED else ["verdict"]
    return sorted(one for one in requests if version.tags.get(f"{VERDICT}.{one}") != PASSED)


def waits_for_approval(version: Version) -> bool:
    """Return whether a version has yet to be approved of."""
    return version.tags.get(APPROVAL) == WANTED


def consider(version: Version, requests: Collection[str]) -> Version:
    """Move to a version those aliases that are its own by the policy and for which it has not been considered before.

    Args:
        version: As the registry has it now.
        requests: Ids of the removal requests in force on its model; none where it was made for none.

    Returns:
        The version as the registry has it then.
    """
    with store.lock(f"aliases-{version.name}"):  # two runs that end at once would each find the other's version late
        done, later = version.tags.get(CONSIDERED, "").split(), _later(version)
        if CANDIDATE not in done:
            if not later:
                tracking_registry.set_alias(version, CANDIDATE)
            version = _considered(version, CANDIDATE)
        if UNLEARNED not in done and _may_be_unlearned(version, requests):
            if not any(_may_be_unlearned(other, requests) for other in later):
                tracking_registry.set_alias(version, UNLEARNED)
            version = _considered(version, UNLEARNED)
        return version


def _may_be_unlearned(version: Version, requests: Collection[str]) -> bool:
    return not lacking(version, requests) and not waits_for_approval(version)


def _later(version: Version) -> list[Version]:
    return [other for other in tracking_registry.versions(version.name) if other.number > version.number]


def _considered(version: Version, alias: str) -> Version:
    done = [*version.tags.get(CONSIDERED, "").split(), alias]
    return tracking_registry.note_version(version, {CONSIDERED: " ".join(dict.fromkeys(done))})


def requests_on(base: str, removal: Removal) -> list[str]:
    """Return the ids of the requests in force on the model that a request is about; its own is one of them."""
    return sorted({removal.id, *(one.id for one in on_same_model(base, removal.model))})


def scored_again(version: Version, base: str, removal: Removal, passed: bool) -> Version:
    """Note what became of another request's verdict on a version, and consider it anew.

    Args:
        version: As the registry has it now.
        base: Digest of the model that it was made of.
        removal: The request whose text it was scored on.
        passed: Whether its verdict passed.
    """
    noted = tracking_registry.note_version(version, verdict_tags(passed, removal.id))
    return consider(noted, requests_on(base, removal))


def approve(removal: Removal) -> Version:
    """Approve of the newest version that was made for a request, and point `unlearned` to it.

    Raises:
        BadInputError: If the request is not verified, no version of it waits, or one has not passed for all requests.
    """
    if removal.state != "verified":
        raise BadInputError(f"{removal.id} is {removal.state}; wanted one that is verified")
    made = tracking_registry.versions_with("lethe.request", removal.id)
    waiting = next((version for version in _newest_first(made) if waits_for_approval(version)), None)
    if waiting is None:
        raise BadInputError(
            f"{removal.id}: no version of its model waits for approval; wanted one that was made with --approve"
        )
    if missing := lacking(waiting, requests_on(waiting.tags["lethe.base"], removal)):
        raise BadInputError(
            f"{removal.id}: {waiting.name} version {waiting.number} has not passed for {', '.join(missing)}; wanted a"
            " version that has for all requests on the model"
        )
    given = made_now("verified")
    approved = tracking_registry.note_version(waiting, {APPROVAL: f"given {given.at} by {given.by}"})
    tracking_registry.set_alias(approved, UNLEARNED)
    remark(removal.id, f"approved: {approved.name} version {approved.number}")
    return _considered(approved, UNLEARNED)


def _newest_first(found: list[Version]) -> list[Version]:
    """Sort versions of several models, those of a new base among them, by when they were made."""
    return sorted(found, key=lambda version: version.made, reverse=True)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What is noted of a version when it is made."""

    method: str
    target: str
    """Digest of the model that was to forget."""
    passed: bool
    evidence: str
    """Tier of the evidence."""
    report: str
    """Where in MLflow the report without forgotten text is: `runs:/...`."""
    link: str = ""
    """The same for a browser that shows MLflow's pages."""
    forget: str = ""
    """Keyed digest of what was forgotten; empty where facts were edited."""
    base: str = ""
    """Digest of the model that the requests are about."""
    request: str = ""
    approve: bool = False

    def tags(self) -> Mapping[str, str]:
        """Return it as tags; an approval that was given stays, see `note`."""
        named = {"method": self.method, "target": self.target, "evidence": self.evidence, "report": self.report}
        named |= {"forget": self.forget, "base": self.base, "request": self.request}
        verdicts = verdict_tags(self.passed) | (verdict_tags(self.passed, self.request) if self.request else {})
        return {f"lethe.{name}": value for name, value in named.items() if value} | verdicts

    def description(self) -> str:
        """Return it in words."""
        of = f"Made for removal request {self.request} by" if self.request else "Unlearned by"
        verdict = f"the verdict is {in_words(self.passed)} (evidence: {self.evidence})"
        text = f"; text with the keyed digest {self.forget[:16]}" if self.forget else ""
        report = f"[{self.report}]({self.link})" if self.link else self.report
        return f"{of} {self.method} from the model {self.target[:16]}{text}: {verdict}. Report: {report}"


def note(version: Version, made: Made) -> Version:
    """Note of a version how it was made and judged; a version whose verdict is another now is told so."""
    tags = dict(made.tags())
    if made.approve and APPROVAL not in version.tags and UNLEARNED not in version.tags.get(CONSIDERED, ""):
        tags[APPROVAL] = WANTED
    return tracking_registry.note_version(version, tags, made.description())
