resource "google_firestore_database" "ledger" {
  project     = var.project_id
  name        = var.firestore_database
  location_id = coalesce(var.firestore_location, var.region)
  type        = "FIRESTORE_NATIVE"
  # The ledger writes under preconditions and hardly needs transactions; this is the mode that the emulator has too.
  concurrency_mode = "PESSIMISTIC"
  # What runs, since when and why is nowhere else.
  delete_protection_state           = "DELETE_PROTECTION_ENABLED"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  deletion_policy                   = "ABANDON"

  depends_on = [google_project_service.this]
}

# Indexes and TTL are declared once, in firestore.indexes.json, the form that the emulator's tests and firebase-tools
# read. Terraform alone makes them: `firebase deploy --only firestore:indexes` would fight with it.
locals {
  firestore = jsondecode(file("${path.module}/firestore.indexes.json"))

  firestore_indexes = {
    for index in local.firestore.indexes :
    join(" ", concat(
      [index.collectionGroup, index.queryScope],
      [for field in index.fields : "${field.fieldPath}:${try(field.order, field.arrayConfig)}"],
    )) => index
  }

  firestore_fields = {
    for field in local.firestore.fieldOverrides : "${field.collectionGroup} ${field.fieldPath}" => field
  }
}

resource "google_firestore_index" "ledger" {
  for_each = local.firestore_indexes

  project     = var.project_id
  database    = google_firestore_database.ledger.name
  collection  = each.value.collectionGroup
  query_scope = each.value.queryScope

  dynamic "fields" {
    for_each = each.value.fields

    content {
      field_path   = fields.value.fieldPath
      order        = try(fields.value.order, null)
      array_config = try(fields.value.arrayConfig, null)
    }
  }
}

resource "google_firestore_field" "ledger" {
  for_each = local.firestore_fields

  project    = var.project_id
  database   = google_firestore_database.ledger.name
  collection = each.value.collectionGroup
  field      = each.value.fieldPath

  # Without `indexes` in it: the field has no index of its own and cannot be queried.
  index_config {
    dynamic "indexes" {
      for_each = each.value.indexes

      content {
        query_scope  = try(indexes.value.queryScope, "COLLECTION")
        order        = try(indexes.value.order, null)
        array_config = try(indexes.value.arrayConfig, null)
      }
    }
  }

  dynamic "ttl_config" {
    for_each = try(each.value.ttl, false) ? [true] : []

    content {}
  }
}

resource "google_project_iam_member" "ledger" {
  for_each = toset(["builds", "reconcile"])

  project = var.project_id
  role    = "roles/datastore.user"
  member  = google_service_account.function[each.key].member
}

resource "google_project_iam_member" "operators_read" {
  for_each = var.operators

  project = var.project_id
  role    = "roles/datastore.viewer"
  member  = each.key
}
