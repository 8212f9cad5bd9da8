"""In which order the members of a cohort train, and how far: a sweep's rates are compared on the way.

Members with the same `sweep` are the rates of one sweep: each trains to 30 % of the steps, then the hopeless ones are
given up and the others go on. Every other member trains straight to its end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from proxy.lm.members import Member, RunInTraining

SWEEP_CHECK_SHARE = 0.3
HOPELESS_NATS = 0.25  # a rate so far behind the sweep's best at the check does not catch up; see docs/decisions/0002

Leg = tuple[RunInTraining, int]  # who trains next, and up to which step


@dataclass(kw_only=True, eq=False)
class Group:
    """The rates of a sweep, or one run; its runs are opened when the first of them may train."""

    members: Sequence[Member]
    steps: int
    runs: list[RunInTraining] = field(default_factory=list)
    has_compared: bool = False

    @property
    def check(self) -> int:
        """The step at which the rates are compared."""
        return max(1, round(SWEEP_CHECK_SHARE * self.steps))

    def next_leg(self, seated: Sequence[RunInTraining]) -> Leg | None:
        """A run that may train and does not yet; None while there is none."""
        idle = [run for run in self.runs if run.ending is None and run not in seated]
        if self.must_compare():
            unchecked = [run for run in idle if run.log.steps_done < self.check or run.saved is None]
            return (unchecked[0], self.check) if unchecked else None
        return (idle[0], self.steps) if idle else None

    def must_compare(self) -> bool:
        """True for a sweep whose rates have not been compared."""
        return len(self.runs) > 1 and not self.has_compared

    def take_hopeless(self, seated: Sequence[RunInTraining]) -> list[RunInTraining]:
        """Once all rates have come to the check: those that do not go on. Nobody before and after."""
        if not self.must_compare() or self.next_leg(seated) or any(run in seated for run in self.runs):
            return []
        self.has_compared = True
        losses = {run.member.run_id: run.log.smoothed_loss(self.check) for run in self.runs if run.ending is None}
        best = min(losses.values(), default=0.0)
        return [run for run in self.runs if run.ending is None and losses[run.member.run_id] > best + HOPELESS_NATS]


@dataclass(kw_only=True)
class WaitingLine:
    """All groups of a cohort, in the order of their first member."""

    groups: list[Group]

    @classmethod
    def of(cls, members: Sequence[Member], steps: int) -> "WaitingLine":
        """Members of one sweep together; everybody else alone."""
        groups: dict[str, list[Member]] = {}
        for member in members:
            groups.setdefault(f"sweep {member.sweep}" if member.sweep else f"run {member.run_id}", []).append(member)
        return cls(groups=[Group(members=group, steps=steps) for group in groups.values()])

    def next_leg(
        self,
        seated: Sequence[RunInTraining],
        open_run: Callable[[Member], RunInTraining],
        give_up: Callable[[RunInTraining], None],
    ) -> Leg | None:
        """Who takes the next free seat. Runs are opened and hopeless ones given up on the way."""
        for group in self.groups:
            group.runs = group.runs or [open_run(member) for member in group.members]
            for run in group.take_hopeless(seated):
                give_up(run)
            leg = group.next_leg(seated)
            if leg is not None:
                return leg
        return None

    def waiting(self, seated: Sequence[RunInTraining]) -> list[RunInTraining]:
        """Runs that have begun, and wait for a seat."""
        runs = [run for group in self.groups for run in group.runs]
        return [run for run in runs if run.ending is None and run.saved is not None and run not in seated]
