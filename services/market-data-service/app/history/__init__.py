"""What was stored, looked at afterwards: questions, the completeness report, and the archive of Parquet files."""
