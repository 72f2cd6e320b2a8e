"""A data audit for the terminal and as a page. Both read the report as plain values, as --json prints it."""
