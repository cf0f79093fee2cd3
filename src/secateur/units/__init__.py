"""What a pruner removes units from: layers by themselves, or groups that are coupled over layers."""
