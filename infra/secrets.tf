locals {
  config_mount = "/etc/landfall"
  # Without comments, in which a secret may be named that is not used.
  config = yamldecode(file(var.config_file))
  named_secrets = toset(flatten([
    regexall("\\$\\{file:/secrets/([^/}]+)/value\\}", yamlencode(local.config)),
    # A kubeconfig is named by its path.
    [for target in try(local.config.targets, []) : regexall("^/secrets/([^/]+)/value$", try(target.kubeconfig, ""))],
  ]))
  secret_readers = merge([
    for name, readers in var.secrets : { for reader in readers : "${name}/${reader}" => { secret = name, function = reader } }
  ]...)
}

# The configuration names where Landfall's credentials are, and for what: nobody's business, though no secret itself.
resource "google_secret_manager_secret" "config" {
  project   = var.project_id
  secret_id = "landfall-config"

  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_version" "config" {
  secret         = google_secret_manager_secret.config.id
  secret_data_wo = file(var.config_file)
  # Another text, another number: that is what makes a new version.
  secret_data_wo_version = parseint(substr(filesha256(var.config_file), 0, 7), 16)
  # The earlier one stays, switched off: it can be had back by hand.
  deletion_policy = "DISABLE"

  lifecycle {
    # `latest` is read at any moment, also during a change.
    create_before_destroy = true

    precondition {
      condition     = length(setsubtract(local.named_secrets, keys(var.secrets))) == 0
      error_message = "${var.config_file} names secrets that `secrets` lacks: ${join(", ", setsubtract(local.named_secrets, keys(var.secrets)))}."
    }
  }
}

resource "google_secret_manager_secret_iam_member" "config" {
  for_each = local.functions

  project   = var.project_id
  secret_id = google_secret_manager_secret.config.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.key].member
}

# Without a version: values are put in by hand (docs/deploying.md) and are in no file and no state.
resource "google_secret_manager_secret" "file" {
  for_each = var.secrets

  project   = var.project_id
  secret_id = "landfall-${each.key}"

  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_iam_member" "file" {
  for_each = local.secret_readers

  project   = var.project_id
  secret_id = google_secret_manager_secret.file[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.value.function].member
}
