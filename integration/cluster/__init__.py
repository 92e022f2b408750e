"""A real Kubernetes node, its control plane beside it, and pods on it that get devices."""
