"""End to end: real packages, the real command, nginx as README sets it up, and the installers that people use."""
