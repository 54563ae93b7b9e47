"""The settings of a rule, beside its inputs, outputs and steps."""

from __future__ import annotations

from dreammake.core.options import ColumnNames, Dict, Int, OptionSet, Str, Strings


class RuleSettings(OptionSet):
    """None of these can change what is made, so none is in a recipe."""

    resources = Dict(
        'What a job takes: `cpus`, `memory` ("4GB"), `gpus`, and pools of your own.', default=None, result=False
    )
    retries = Int("How often a job that failed is run again.", default=0, at_least=0, result=False)
    priority = Int("Jobs of a higher priority start first.", default=0, result=False)
    tags = Strings("Names to select targets by: `dreammake tag:small`.", default=None, result=False)
    publish = Str("Where `dreammake publish` sends it: `org/name`.", default=None, result=False)
    columns = ColumnNames(
        "The columns of the result, where they cannot be known before it runs.", default=None, result=False
    )
