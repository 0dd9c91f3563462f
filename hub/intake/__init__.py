"""What nodes say, taken in: checked, counted, put into the table, the roster and the memory."""
