# Runs the application in the working folder with Rails: its code below app/ and its routes. The session is a header.
require "action_controller/railtie"

class Project < Rails::Application
  config.root = Dir.pwd
  config.eager_load = false
  config.secret_key_base = "of the tests"
  config.logger = Logger.new($stdout)
end

class ApplicationController < ActionController::API
  User = Struct.new(:id)

  def current_user
    User.new(request.headers["X-User"]) if request.headers["X-User"]
  end
end

Project.initialize!
run Project
