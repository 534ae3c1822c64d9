"""What is on disk: run directories, the ledger, a record for every file, and the one reader."""
