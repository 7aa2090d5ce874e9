variable "project_id" {
  description = "The Google Cloud project that Landfall is deployed to, e.g. `acme-deploy`. It must exist and have billing."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project's id (not its name or number): 6 to 30 lower-case letters, digits and hyphens, e.g. acme-deploy."
  }
}

variable "region" {
  description = "Where functions, messages, the sweep's job and artifacts are, e.g. `europe-west1`. Near the targets is best."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region, e.g. europe-west1, not a zone and not a multi-region."
  }
}

variable "config_file" {
  description = "Path of landfall.yaml. Its secrets are written as `$${file:/secrets/NAME/value}`, NAME being a key of `secrets`."
  type        = string
  nullable    = false

  validation {
    condition     = can(yamldecode(file(var.config_file)).follow)
    error_message = "There is no such file, or it is no YAML with a key `follow`. `landfall config check` tells more."
  }
}

variable "secrets" {
  description = "Secrets by name, each with the functions that may read it, as the file `/secrets/NAME/value`. Terraform makes the secret, never its value."
  type        = map(set(string))
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.secrets) : can(regex("^[a-z][a-z0-9-]{0,62}$", name)) && name != "config"])
    error_message = "A secret's name is up to 63 lower-case letters, digits and hyphens and starts with a letter; `config` is taken."
  }

  validation {
    condition     = alltrue([for readers in values(var.secrets) : length(readers) > 0 && length(setsubtract(readers, ["webhook", "builds", "reconcile"])) == 0])
    error_message = "Each secret names at least one of the functions webhook, builds and reconcile, and nothing else."
  }
}

variable "artifacts_dir" {
  description = "Folder with webhook.zip, builds.zip and reconcile.zip, relative to where Terraform runs."
  type        = string
  default     = "../dist"
  nullable    = false

  validation {
    condition     = alltrue([for name in ["webhook", "builds", "reconcile"] : fileexists("${var.artifacts_dir}/${name}.zip")])
    error_message = "The folder does not hold webhook.zip, builds.zip and reconcile.zip: build and zip them first (docs/deploying.md)."
  }
}

variable "firestore_database" {
  description = "The Firestore database that holds the ledger. It is created, so it must not exist yet; one that does is taken in with an `import` block."
  type        = string
  default     = "(default)"
  nullable    = false

  validation {
    condition     = var.firestore_database == "(default)" || can(regex("^[a-z][a-z0-9-]{2,61}[a-z0-9]$", var.firestore_database))
    error_message = "`(default)`, or 4 to 63 lower-case letters, digits and hyphens that start with a letter."
  }
}

variable "firestore_location" {
  description = "Where the ledger is, for ever: a region, or a multi-region such as `eur3` or `nam5`. `null`: the same as `region`."
  type        = string
  default     = null
}

variable "min_instances" {
  description = "Instances that are kept warm while nothing happens, by function. Each is billed day and night."
  type = object({
    webhook   = optional(number, 0)
    builds    = optional(number, 0)
    reconcile = optional(number, 0)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for count in values(var.min_instances) : count >= 0 && count <= 3 && floor(count) == count])
    error_message = "0 to 3 for each function."
  }
}

variable "operators" {
  description = "Who may read the ledger and send commands from the command line: IAM members, e.g. `group:ops@acme.io`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.operators : can(regex("^(user|group|serviceAccount|principal|principalSet):[^*]+$", member))])
    error_message = "IAM members with their kind, e.g. group:ops@acme.io; never allUsers or a wildcard."
  }
}

variable "vpc" {
  description = "Sends all that builds and reconcile call through a network of this project and from one reserved address (output `egress_ip`). `network`: an existing one's name, else one is made; `connector_range`: a free /28 in it. `null`: off."
  type = object({
    network         = optional(string)
    connector_range = optional(string, "10.8.0.0/28")
  })
  default = null

  validation {
    condition     = var.vpc == null ? true : can(cidrhost(var.vpc.connector_range, 15)) && endswith(var.vpc.connector_range, "/28")
    error_message = "`connector_range` is an IPv4 range of exactly /28, e.g. 10.8.0.0/28."
  }
}

variable "gke" {
  description = "Whose GKE clusters builds and reconcile deploy to: `projects` with clusters, for every `endpoint`; `fleets`, projects whose connect gateway is used. Their ids. What may be done in a cluster is granted there (infra/kubernetes)."
  type = object({
    projects = optional(set(string), [])
    fleets   = optional(set(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for id in setunion(var.gke.projects, var.gke.fleets) : can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", id))])
    error_message = "Ids of projects (not names or numbers), e.g. { projects = [\"acme-prod\"] }."
  }
}
