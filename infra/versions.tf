terraform {
  # 1.11: write-only arguments, with which the configuration stays out of the state.
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.0, < 9.0"
    }
  }
}

# No provider block: every resource names its project and region, and credentials are the caller's own
# (`gcloud auth application-default login`), so this folder serves as a root module and as a child of another.
