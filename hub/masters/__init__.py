"""Master, Emissaries and the synchronisation layer between them, for each band of the cell."""

from becomingone.hub.masters.masters import Masters
from becomingone.hub.masters.sections import MasterSection, SyncLayerSection

__all__ = ["MasterSection", "Masters", "SyncLayerSection"]
