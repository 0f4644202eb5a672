# Runs the application in the working folder with Rails: its code below app/, its routes and its migrations.
require "action_controller/railtie"
require "active_record/railtie"

class ApplicationRecord < ActiveRecord::Base
  self.abstract_class = true
end

class Project < Rails::Application
  config.root = Dir.pwd
  config.eager_load = true
  config.secret_key_base = "of the tests"
  config.logger = Logger.new($stdout)
end

Project.initialize!
ActiveRecord::Migrator.migrations_paths = ["db/migrate"]
ActiveRecord::Tasks::DatabaseTasks.migrate
run Project
