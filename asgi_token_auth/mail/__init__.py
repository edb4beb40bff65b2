"""What is mailed: the messages, the ways to send them, and the outbox they wait in."""
