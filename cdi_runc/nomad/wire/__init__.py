"""Messages of Nomad's plugins and of go-plugin, made from the .proto files by `make protos`."""
