"""What a worker shows of itself to those who run it: probes, a file, systemd."""
