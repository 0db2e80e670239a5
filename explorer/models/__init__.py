"""Tables: people and teams, dumps, uploads, analyses."""

from explorer.models.analysis import Analysis, IllegalTransition, State
from explorer.models.dump import Dump
from explorer.models.team import ApiToken, Membership, Role, Team, User
from explorer.models.upload import Upload

__all__ = ["Analysis", "ApiToken", "Dump", "IllegalTransition", "Membership", "Role", "State", "Team", "Upload", "User"]
