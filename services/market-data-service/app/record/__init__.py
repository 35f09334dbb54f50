"""The recorder: whatever goes over NATS on `md.events.>` and `senpai.>` becomes rows, in a process of its own."""
