"""Tables: people, teams, invitations, dumps, uploads, analyses, findings, notes, symbols, search, saved things, the audit."""

from explorer.models.analysis import Analysis, IllegalTransition, State
from explorer.models.audit import AuditEntry, AuditPerson
from explorer.models.dump import Dump, Held, Status, Tag
from explorer.models.finding import Finding
from explorer.models.invitation import Invitation
from explorer.models.note import Note
from explorer.models.original import OriginalRequest
from explorer.models.query import SavedQuery
from explorer.models.scrubbed import ScrubbedCopy
from explorer.models.search import SearchedName, SearchPosting
from explorer.models.share import ShareLink
from explorer.models.symbol import SymbolFile
from explorer.models.team import ApiToken, LentAccess, Membership, Role, RoleProposal, ServerRole, Team, User
from explorer.models.upload import Upload
from explorer.models.view import SavedView

__all__ = [
    "Analysis",
    "ApiToken",
    "AuditEntry",
    "AuditPerson",
    "Dump",
    "Finding",
    "Held",
    "IllegalTransition",
    "Invitation",
    "LentAccess",
    "Membership",
    "Note",
    "OriginalRequest",
    "Role",
    "RoleProposal",
    "SavedQuery",
    "SavedView",
    "ScrubbedCopy",
    "SearchPosting",
    "SearchedName",
    "ServerRole",
    "ShareLink",
    "State",
    "Status",
    "SymbolFile",
    "Tag",
    "Team",
    "Upload",
    "User",
]
