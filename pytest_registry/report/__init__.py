"""What happened in a run: records -> figures -> what people read."""
