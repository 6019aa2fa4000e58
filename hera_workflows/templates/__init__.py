"""The WorkflowTemplates, built with Hera: steps, images, resources, retries; no logic."""
