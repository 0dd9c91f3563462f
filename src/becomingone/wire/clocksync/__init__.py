"""Clock synchronisation: from four-timestamp exchanges to the line that maps a node's own clock to mesh time."""
