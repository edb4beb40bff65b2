"""The demo: everyone writes messages, and sees their own."""
