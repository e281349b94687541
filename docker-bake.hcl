# What the release workflow builds: it sets these variables in its environment.
#   VERSION=v1.2.3 docker buildx bake --push
# Paths stay inside the repository, so bake asks for no permission.

variable "REPOSITORY" {
  default = "runpod"
}

variable "IMAGE" {
  default = "worker-sglang"
}

variable "VERSION" {
  default = "dev"
}

variable "BASE_IMAGE" {
  default = "lmsysorg/sglang:v0.5.19-cu129"
}

# SGLang's newest release for each CUDA line, of which the default is one:
# docs/configuration.md says why, and which to choose.
variable "BASE_IMAGE_CU12" {
  default = "lmsysorg/sglang:v0.5.19-cu129"
}

variable "BASE_IMAGE_CU13" {
  default = "lmsysorg/sglang:v0.5.23"
}

variable "MODEL_NAME" {
  default = ""
}

variable "BASE_PATH" {
  default = "/runpod-volume"
}

group "default" {
  targets = ["worker-sglang"]
}

target "worker-sglang" {
  context    = "."
  dockerfile = "Dockerfile"
  platforms  = ["linux/amd64"]
  tags       = ["${REPOSITORY}/${IMAGE}:${VERSION}"]
  args = {
    BASE_IMAGE = BASE_IMAGE
    MODEL_NAME = MODEL_NAME
    BASE_PATH  = BASE_PATH
  }
  secret = ["id=HF_TOKEN,env=HF_TOKEN"]
}

# Both, by the names of their CUDA lines: docker buildx bake cu12 cu13
target "cu12" {
  inherits = ["worker-sglang"]
  tags     = ["${REPOSITORY}/${IMAGE}:${VERSION}-cu12"]
  args = {
    BASE_IMAGE = BASE_IMAGE_CU12
  }
}

target "cu13" {
  inherits = ["worker-sglang"]
  tags     = ["${REPOSITORY}/${IMAGE}:${VERSION}-cu13"]
  args = {
    BASE_IMAGE = BASE_IMAGE_CU13
  }
}
