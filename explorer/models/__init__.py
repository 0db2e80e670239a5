"""Tables: people, teams and invitations, dumps, uploads, analyses, findings, symbols, saved queries, the audit."""

from explorer.models.analysis import Analysis, IllegalTransition, State
from explorer.models.audit import AuditEntry
from explorer.models.dump import Dump, Held
from explorer.models.finding import Finding
from explorer.models.invitation import Invitation
from explorer.models.original import OriginalRequest
from explorer.models.query import SavedQuery
from explorer.models.share import ShareLink
from explorer.models.symbol import SymbolFile
from explorer.models.team import ApiToken, LentAccess, Membership, ProtectedReaderProposal, Role, ServerRole, Team, User
from explorer.models.upload import Upload

__all__ = [
    "Analysis",
    "ApiToken",
    "AuditEntry",
    "Dump",
    "Finding",
    "Held",
    "IllegalTransition",
    "Invitation",
    "LentAccess",
    "Membership",
    "OriginalRequest",
    "ProtectedReaderProposal",
    "Role",
    "SavedQuery",
    "ServerRole",
    "ShareLink",
    "State",
    "SymbolFile",
    "Team",
    "Upload",
    "User",
]
