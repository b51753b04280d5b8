"""What runs inside an environment that has Django: other people's tests, and ours."""
