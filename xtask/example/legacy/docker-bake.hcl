variable "REPOSITORY" {
  default = "example"
}

variable "VERSION" {
  default = "preview"
}

group "default" {
  targets = ["worker"]
}

target "worker" {
  context    = "."
  dockerfile = "Dockerfile"
  tags       = ["${REPOSITORY}/worker-sglang:${VERSION}-cuda12.1.0"]
  args = {
    MODEL_NAME          = ""
    WORKER_CUDA_VERSION = "12.1.0"
  }
}
