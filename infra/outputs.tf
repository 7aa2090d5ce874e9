output "webhook_url" {
  description = "The public address. `GET /health` answers there."
  value       = google_cloudfunctions2_function.function["webhook"].service_config[0].uri
}

output "webhook_urls" {
  description = "Where each source of the configuration sends its pushes. Where the source does not sign, `/` and its secret follow (docs/sources)."
  value = {
    for source in distinct([for webhook in try(local.config.webhooks, []) : webhook.source]) :
    source => "${google_cloudfunctions2_function.function["webhook"].service_config[0].uri}/hooks/${source}"
  }
}

output "reconcile_auth" {
  description = "What landfall.yaml says under `reconcile: auth:`, so that the sweep is let in."
  value = {
    kind     = "google-oidc"
    audience = google_cloudfunctions2_function.function["reconcile"].service_config[0].uri
    email    = google_service_account.scheduler.email
  }
}

output "egress_ip" {
  description = "The address that targets and registries see; null without `vpc`."
  value       = one(google_compute_address.egress[*].address)
}

output "service_accounts" {
  description = "Each function's service account, to be given roles on what it deploys to and pulls from."
  value       = { for name, account in google_service_account.function : name => account.email }
}

output "topics" {
  description = "Ids of the topics for CI (`landfall`), operators (`commands`) and what could not be used (`dead_letter`)."
  value = {
    landfall    = google_pubsub_topic.landfall.id
    commands    = google_pubsub_topic.commands.id
    dead_letter = google_pubsub_topic.dead_letter.id
  }
}

output "secrets" {
  description = "Ids of the secrets that wait for a value: `gcloud secrets versions add ID --data-file=-`."
  value       = { for name, secret in google_secret_manager_secret.file : name => secret.secret_id }
}
