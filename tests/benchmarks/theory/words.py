"""What the report of the theory says around its figures."""

HEADING = (
    "# A small rate keeps the order of recipes: random-feature models",
    "",
    'Made by `make bench-theory`. What "must" asks was set after looking at smaller runs of the same model, and four',
    'of its lines were changed after the first whole run: "holds" guards what was found, and confirms nothing',
    "independently.",
)

SETTING = """
![Agreement with tuned references against rate, travel, progress and width](theory.svg)

Shown is Spearman's correlation of proxy losses with the losses of tuned references, over random sets of 16 recipes;
bands are 95 % intervals of the mean over sets. Nothing in a loss is simulated: it is the exact expectation over the
examples.

arXiv 2512.24503 states that for random-feature models training at a small enough rate keeps the order of data sets by
their best achievable loss. Its proof is not repeated here; the models are our own, so that the conditions can be
turned. Recipes are Gaussian distributions of 512 base functions (power-law variances, exponent 1.25). All differ in a
share, up to one half, that follows an unrelated target: this decides what they can reach. They differ *also* in label
noise (log-sd 1.5), in coverage of the base functions (log-sd .7 an octave), or in the scale of examples (log-sd .7).
A proxy trains random features of width 8 to 64 by one-pass SGD in batches of 4, at a constant rate that all recipes
share. A reference has width 256, trains 262,144 steps, and has its recipe's own best rate.
"""

READING = """
Where a figure must be something, its value is the end of the 95 % interval that speaks against the claim; where it
need not, the mean. (The lowest Spearman by share learned is of means.)

## Conclusions

1. **Small keeps, large breaks, where recipes differ in noise, coverage or scale.** A large rate leaves a floor of
   gradient noise, which grows with rate × (label noise + what the width cannot express) and has little to do with what
   a recipe can reach. More steps do not remove it: the curves of all budgets meet at the right edge of the panels.
2. **Where recipes differ in their targets only**, every rate that is not close to divergence gives the same order.
3. **What must not shrink with the rate is travel, S = rate × steps.** At small rates agreement depends on S alone.
   At equal S the smaller rate gives the better order. In the limit S → 0 proxies are ranked by how strongly their
   first gradient points along validation's: a Spearman of about .75 where recipes differ in targets and noise, .43
   with coverage, .34 where scale sets their speed. A small rate as such keeps nothing.
4. **At equal steps it depends on what recipes differ in.** With noise, a quarter to a sixteenth of the budget's own
   common optimum orders better than that optimum while the budget is short (1,024 steps: .92 at η*, .98 and .95
   below), which is the published claim in its strong form. With scale it orders worse (.96 against .87 and .69), with
   coverage no better and then worse. With more steps the optimum itself falls, and is as good as anything below it:
   what then hurts is a rate that was tuned on shorter runs and kept.
5. **Progress of one half is no safe gate.** Where recipes learn at different speeds or cover different functions,
   small rates that learned half of what the width can learn order with .6 to .8; those that learned nine tenths are
   above .9 in every kind. (Progress here is measured against the proxy's own limit, not against n-grams.)
6. **Equal optima do not prove that the rate matters little.** Sets whose recipes' own best rates lie within a factor of
   two still lost .10 of Spearman at the rate 1/2, about ten times their common optimum; the other sets lost .13.
7. **Width is a ceiling that no rate lifts**, and low only where recipes differ in coverage (.65 at width 8, .93 at
   64): a narrow model gives up functions, and which ones is the recipe's doing. Elsewhere width 8 keeps .94.

Not covered: repeated data (its fourth moments are not Gaussian), Adam, decaying rates, features that learn. With SGD
the scale of examples changes speed; Adam takes that away, so that recipes of the last kind are harder here than there.
Runs that diverge are one tie; a set whose runs all diverge counts as no agreement.

## Equal steps: Spearman at multiples of the common best rate η*

Width 64. η* is where the mean loss over the set's recipes is lowest, at that budget.
"""


def conclusions(table: str) -> str:
    """The appendix: the figure and how to read it, then the table."""
    return f"{SETTING.strip()}\n\n{READING.strip()}\n\n{table}"
