"""Whether this server works, for load balancers and Prometheus."""
