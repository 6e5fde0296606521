"""All strategies by name."""

from typing import Annotated, get_args

from pydantic import Field

from endoexit.training.strategies.adversarial import AdversarialSettings
from endoexit.training.strategies.base import StrategySettings
from endoexit.training.strategies.collaboration import CollaborationSettings
from endoexit.training.strategies.distil import DistilSettings
from endoexit.training.strategies.eenet import EENetSettings
from endoexit.training.strategies.equilibrium import EquilibriumSettings
from endoexit.training.strategies.joint import JointSettings
from endoexit.training.strategies.self_distil import SelfDistilSettings
from endoexit.training.strategies.two_stage import TwoStageSettings
from endoexit.training.strategies.weighted import WeightedSettings

_Any = (
    JointSettings
    | WeightedSettings
    | SelfDistilSettings
    | DistilSettings
    | EquilibriumSettings
    | TwoStageSettings
    | EENetSettings
    | AdversarialSettings
    | CollaborationSettings
)

AnyStrategy = Annotated[_Any, Field(discriminator="name")]
"""Settings of a strategy; `name` says of which."""

STRATEGIES: dict[str, type[StrategySettings]] = {
    settings.model_fields["name"].default: settings for settings in get_args(_Any)
}
