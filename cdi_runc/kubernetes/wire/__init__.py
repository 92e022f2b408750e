"""The kubelet's messages, made from the .proto files here by `make protos`: the fields that are used and no others."""
